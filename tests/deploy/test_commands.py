"""The scripts are sound bash, and gcloud's own parser takes every command in them and in the documents."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.deploy.cloud import DEPLOY, LIVE, ROOT, Cloud, tool

PARSER = Path(__file__).with_name("gcloud_parser.py")
SCRIPTS = ["lib.sh", "setup", "release", "rollback", "rotate-secret", "doctor", "settings.example"]
OTHERS = [
    ("release", "--dry-run"),
    ("release", "--dry-run", "settings", "check", "traffic"),
    ("doctor", "--dry-run"),
    ("rollback", "--dry-run"),
    ("rollback", "--dry-run", "gateway-00007-abc"),
    ("rotate-secret", "--dry-run", "webhook", "start"),
    ("rotate-secret", "--dry-run", "webhook", "show"),
    ("rotate-secret", "--dry-run", "webhook", "finish"),
    ("rotate-secret", "--dry-run", "OPERATOR_TOKEN"),
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck_finds_nothing(script: str) -> None:
    done = subprocess.run([tool("shellcheck"), "-x", script], cwd=DEPLOY, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("", 0)


def test_shellcheck_finds_nothing_in_what_runs_on_every_push_and_in_the_steps_of_the_build() -> None:
    builds = [YAML(typ="safe").load(ROOT / name) for name in ("cloudbuild.test.yaml", "cloudbuild.yaml")]
    scripts = [step["script"] for build in builds for step in build["steps"] if "script" in step]
    assert len(scripts) == 4
    for script in [*(path.read_text(encoding="utf-8") for path in (ROOT / ".ci").iterdir()), *scripts]:
        done = subprocess.run([tool("shellcheck"), "-"], input=script, capture_output=True, text=True, timeout=60)
        assert (done.stdout, done.returncode) == ("", 0)


def test_every_script_is_known_to_the_tests_and_can_be_run() -> None:
    bash = {
        path.name for path in DEPLOY.iterdir() if path.is_file() and path.read_bytes().startswith(b"#!/usr/bin/env")
    }
    assert bash == {"setup", "release", "rollback", "rotate-secret", "doctor", "clock.py", "readiness.py"}
    assert all(os.access(DEPLOY / name, os.X_OK) for name in bash)


@pytest.fixture(scope="module")
def gcloud() -> tuple[str, str]:
    """gcloud's own Python, and where it is installed. Under CI its absence would be a proof left out."""
    if shutil.which("gcloud") is None:
        why = "the Google Cloud CLI is not installed: https://cloud.google.com/sdk/docs/install"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    asked = ["gcloud", "info", "--format=value(basic.python_location,installation.sdk_root)"]
    python, root = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=120).stdout.split()
    return python, root


def refused(commands: Sequence[Sequence[str]], gcloud: tuple[str, str], home: Path) -> dict[tuple[str, ...], str]:
    """The commands that gcloud's parser does not take, each with what it says."""
    unique = sorted({tuple(argv) for argv in commands})
    environ = {"CLOUDSDK_CONFIG": str(home), "PATH": os.environ["PATH"]}
    python, root = gcloud
    done = subprocess.run(
        [python, str(PARSER), root], input=json.dumps(unique), env=environ, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return {argv: said for argv, said in zip(unique, json.loads(done.stdout), strict=True) if said is not None}


PLANTED = [
    ("run", "deploy", "s", "--imagee=i"),
    ("run", "deploy", "s", "--vpc-egress=nowhere"),
    ("runn", "deploy", "s"),
]


def test_gcloud_takes_every_command(
    live: Cloud,
    again: Cloud,
    new: Callable[[dict[str, str]], Cloud],
    gcloud: tuple[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    commands = live.argvs() + again.argvs()
    others = new(LIVE | {"WARM": "always"})
    commands += [argv for words in OTHERS for argv in others.shown(*words)]
    commands += others.shown("setup", "--dry-run", "schedule")
    commands += documented()
    wrong = refused([*commands, *PLANTED], gcloud, tmp_path_factory.mktemp("gcloud"))
    assert {argv: said for argv, said in wrong.items() if argv not in PLANTED} == {}
    assert len(wrong) == len(PLANTED)  # so it does look


def documented() -> list[list[str]]:
    """The gcloud commands of deploy/README.md, with a value for each of its $NAMES."""
    blocks = re.findall(r"```console\n(.*?)```", (DEPLOY / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    text = re.sub(r"\$\{?\w+\}?", "my-project", "\n".join(blocks))
    found = [command for line in text.splitlines() for command in re.findall(r"gcloud [^|>)#;]+", line)]
    assert len(found) == 6
    return [shlex.split(command)[1:] for command in found]
