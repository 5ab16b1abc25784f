"""The image and the pipeline, as far as they can be held to their promises without a Docker engine."""

import contextlib
import fnmatch
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from ruamel.yaml import YAML

from app.runtime.processes import bare_environment, free_port
from tests.deploy.cloud import ROOT, tool
from tests.waiting import wait_until, wait_until_ready

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
INSTRUCTIONS = re.findall(
    r"^([A-Z]+) +(.*)$", re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)), re.MULTILINE
)


def said(instruction: str, stage: int = -1) -> list[str]:
    """What a stage says in all instructions of that name; the last stage is the image."""
    stages: list[list[tuple[str, str]]] = []
    for name, words in INSTRUCTIONS:
        if name == "FROM":
            stages.append([])
        stages[-1].append((name, words))
    return [words for name, words in stages[stage] if name == instruction]


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run([tool("hadolint"), "Dockerfile"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("", 0)


def test_only_locked_wheels_are_installed_and_no_build_tool_stays() -> None:
    [install] = [words for words in said("RUN", 0) if "install" in words]
    for promise in ("--no-deps", "--require-hashes", "--only-binary=:all:", "-r requirements.txt"):
        assert promise in install
    assert "pip uninstall" in said("RUN")[0]
    assert "apt-get" not in DOCKERFILE
    assert all(words.startswith("--from=build") for words in said("COPY"))


def test_the_image_runs_without_root() -> None:
    assert said("USER") == ["10001"]
    assert "--uid 10001" in said("RUN")[0]


def test_the_image_listens_where_its_port_can_be_mapped() -> None:
    assert "HOST=0.0.0.0" in said("ENV")[0].split()


def test_both_stages_have_the_python_that_the_tests_run_on() -> None:
    bases = {said("FROM", stage)[0].split()[0] for stage in (0, 1)}
    assert bases == {"python:3.11-slim-bookworm"}
    assert 'requires-python = ">=3.11"' in (ROOT / "pyproject.toml").read_text()


def test_the_bytecode_is_compiled_once_for_all() -> None:
    assert any("compileall" in words and "unchecked-hash" in words for words in said("RUN", 0))


def in_context(path: str) -> bool:
    """Whether .dockerignore lets a path through: the last pattern that fits it or a folder above it decides."""
    parents = [path, *(str(parent) for parent in Path(path).parents if str(parent) != ".")]
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip().removeprefix("!")
        if not pattern or pattern.startswith("#"):
            continue
        names = [pattern.removeprefix("**/")] if pattern.startswith("**/") else [pattern]
        tails = [part if pattern == part or not pattern.startswith("**/") else Path(part).name for part in parents]
        if any(fnmatch.fnmatchcase(tail, name) for tail in tails for name in names):
            ignored = not line.startswith("!")
    return not ignored


def test_nothing_but_the_service_is_ever_sent_to_the_builder() -> None:
    assert in_context("main.py")
    assert in_context("requirements.txt")
    assert in_context("app/web/app.py")
    for other in (".env", "data/tokens.json", "tests/gateway.py", "proof/result.py", "bench/symbols.py", ".git/config"):
        assert not in_context(other), other
    assert not in_context("app/__pycache__/x.cpython-311.pyc")
    assert not in_context("deploy/settings")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """/app as the image has it: what the Dockerfile copies of what the context has, compiled as it says."""
    home = tmp_path_factory.mktemp("image") / "app"
    home.mkdir()
    for words in said("COPY", 0):
        source, target = words.split()
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, home / target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy(ROOT / source, home / target)
    compiling = ["-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", str(home)]
    subprocess.run([sys.executable, *compiling], check=True, timeout=120)
    return home


@contextlib.contextmanager
def served(image: Path, data: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The image's command, in an environment with nothing but what the image and Docker set."""
    command = json.loads(said("CMD")[0])
    assert command[0] == "python"
    environ = {**bare_environment(), "PORT": str(port), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(data)}
    environ |= {"LEDGER_URL": f"sqlite:///{data}/ledger.db", "SYMBOL_CACHE": f"{data}/symbols"}
    environ |= {"WEBHOOK_SECRET_TOKEN": "a-secret-for-the-image"}
    server = subprocess.Popen(
        [sys.executable, *command[1:]], cwd=image, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        yield server
    finally:
        server.kill()
        server.communicate(timeout=10)


def listening(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def healthy(image: Path, port: int) -> bool:
    """The image's HEALTHCHECK."""
    [words] = said("HEALTHCHECK")
    command = json.loads(words[words.index("CMD") + 4 :])
    assert command[0] == "python"
    environ = {"PORT": str(port), "http_proxy": "http://127.0.0.1:9"}  # as Docker hands it to a container
    probe = subprocess.run(
        [sys.executable, "-SE", *command[1:]], cwd=image, env=environ, capture_output=True, timeout=30
    )
    return probe.returncode == 0


def test_the_image_s_files_and_command_serve_on_the_port_that_is_given(image: Path, tmp_path: Path) -> None:
    port = free_port()
    assert not healthy(image, port)
    with served(image, tmp_path, port) as server:
        # The socket is there before the service is.
        wait_until("the image is healthy", lambda: server.poll() or (listening(port) and healthy(image, port)), 60)
        assert server.poll() is None, server.stderr and server.stderr.read()
        wait_until_ready(port)  # before, every request but those for its health is answered 503
        refused = requests.get(f"http://127.0.0.1:{port}/webhook", timeout=5)
        # What the uptime check of deploy/setup looks for.
        assert refused.status_code == 405
        assert '"status":"ERROR"' in refused.text
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0  # Cloud Run gives ten seconds
    assert not list(image.rglob("data/*"))  # nothing was written beside the code


@pytest.mark.parametrize(
    ("file", "schema"),
    [
        ("cloudbuild.test.yaml", "vendor.cloudbuild"),
        ("cloudbuild.yaml", "vendor.cloudbuild"),
        ("docker-compose.yaml", "vendor.compose-spec"),
    ],
)
def test_the_file_fits_its_schema(file: str, schema: str) -> None:
    check = [tool("check-jsonschema"), "--builtin-schema", schema, file]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_the_tests_run_in_a_build_of_their_own_with_every_tool_that_they_need() -> None:
    build = YAML(typ="safe").load(ROOT / "cloudbuild.test.yaml")
    [step] = build["steps"]
    assert "make test" in step["script"]
    assert "CI=true" in step["env"]  # there a tool that is missing fails the tests instead of leaving them out
    assert not {"allowFailure", "secretEnv"} & set(step)
    assert not {"images", "artifacts", "availableSecrets", "secrets"} & set(build)


def test_the_pipeline_checks_before_it_shifts_traffic() -> None:
    build = YAML(typ="safe").load(ROOT / "cloudbuild.yaml")
    steps = {step["id"]: step for step in build["steps"]}
    assert list(steps) == ["build", "push", "candidate", "check", "traffic"]
    assert not any({"allowFailure", "waitFor"} & set(step) for step in build["steps"])
    for name in ("candidate", "check", "traffic"):
        assert f"deploy/release {name}" in steps[name]["script"]
    assert not any("secret" in str(step).lower() for step in build["steps"])


def test_a_self_hosted_gateway_listens_on_loopback_alone_and_keeps_its_ledger() -> None:
    gateway = YAML(typ="safe").load(ROOT / "docker-compose.yaml")["services"]["gateway"]
    assert gateway["ports"] == ["127.0.0.1:8080:8080"]
    [volume] = gateway["volumes"]
    assert gateway["environment"]["HOST"] == "0.0.0.0"  # of the container, whatever .env says for a machine
    assert gateway["environment"]["TRUSTED_PROXIES"] == "1"  # the one with the certificate
    assert gateway["environment"]["LEDGER_URL"].startswith(f"sqlite:///{volume.split(':')[1]}/")
    assert gateway["read_only"] is True
