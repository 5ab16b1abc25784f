"""The scripts hold water as bash, and gcloud's own parser takes every command they and the documents give."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.deploy.cloud import DEPLOY, LIVE, Cloud, tool

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


def test_every_script_is_known_to_the_tests_and_can_be_run() -> None:
    bash = {
        path.name for path in DEPLOY.iterdir() if path.is_file() and path.read_bytes().startswith(b"#!/usr/bin/env")
    }
    assert bash == {"setup", "release", "rollback", "rotate-secret", "doctor", "clock.py", "readiness.py"}
    assert all(os.access(DEPLOY / name, os.X_OK) for name in bash)


def refused(commands: Sequence[Sequence[str]], home: Path) -> list[str]:
    """The commands that gcloud's parser does not take, each with what it says. Nothing is run or asked."""
    unique = {shlex.join(["gcloud", *argv]) for argv in commands}
    listed = home / "commands.json"
    listed.write_text(json.dumps([{"command_string": command} for command in sorted(unique)]))
    environ = os.environ | {"CLOUDSDK_CONFIG": str(home), "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1"}
    lint = ["gcloud", "meta", "lint-gcloud-commands", f"--commands-file={listed}"]
    done = subprocess.run(lint, env=environ, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert len(results) == len(unique)
    return [f"{result['error_message']}: {result['command_string']}" for result in results if not result["success"]]


@pytest.fixture
def parser(tmp_path: Path) -> Path:
    """Where gcloud may keep things while it parses. Under CI its absence would be a proof left out."""
    if shutil.which("gcloud") is None:
        why = "the Google Cloud CLI is not installed: https://cloud.google.com/sdk/docs/install"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return tmp_path


def test_gcloud_takes_every_command(
    live: Cloud, again: Cloud, new: Callable[[dict[str, str]], Cloud], parser: Path
) -> None:
    commands = live.argvs() + again.argvs()
    others = new(LIVE | {"WARM": "always"})
    commands += [argv for words in OTHERS for argv in others.shown(*words)]
    commands += others.shown("setup", "--dry-run", "schedule")
    commands += documented()
    commands += [["run", "deploy", "gateway", "--image=image", "--vpc-egress=nowhere"], ["run", "deploy", "--imagee=x"]]
    wrong = refused(commands, parser)
    assert len(wrong) == 2, "\n".join(wrong)  # the two that were planted, and no other
    assert "nowhere" in wrong[1]
    assert "--imagee" in wrong[0]


def documented() -> list[list[str]]:
    """The gcloud commands of deploy/README.md, with its $NAMES as they are."""
    blocks = re.findall(r"```console\n(.*?)```", (DEPLOY / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    found = [match for line in lines for match in re.findall(r"gcloud [^|)]+", line)]
    assert len(found) > 5
    return [shlex.split(command, comments=True)[1:] for command in found]
