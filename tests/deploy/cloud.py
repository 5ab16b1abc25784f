"""The scripts of deploy/, run for real against a stand-in for gcloud."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from app.runtime.processes import bare_environment
from tests.deploy.stand_in import Google, Project, flags

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

PAPER = {"PROJECT": "my-project", "ALERT_EMAIL": "owner@example.com"}
LIVE = PAPER | {
    "SQUARE_OFF_AT": "15:20",
    "FYERS_CLIENT_ID": "XY01234",
    "NO_ALERT_BY": "(11:00 'ORB 15m=10:30')",
    "GATEWAY": "(BROKER=fyers LIVE_TRADING=yes FYERS_APP_ID=ABCD1234-200 TRADINGVIEW_IPS=52.89.214.238,34.212.75.30)",
}
# In the order in which deploy/setup asks for them. Each one is easy to find again wherever it may turn up.
TYPED = {
    "WEBHOOK_SECRET_TOKEN": "canary-webhook-secret",
    "OPERATOR_TOKEN": "canary-operator-token",
    "NOTIFICATION_URL": "https://ntfy.example/canary-topic",
    "FYERS_SECRET_ID": "canary-fyers-secret",
    "FYERS_PIN": "canary-pin",
}


class Cloud:
    """One Google Cloud project and the settings of one deployment; `screen` is all that was ever printed."""

    def __init__(self, google: Google, home: Path, settings: dict[str, str], project: Project | None = None) -> None:
        self.project = project or Project()
        self.screen = ""
        self._home = home
        lines = [f". {shlex.quote(str(DEPLOY / 'settings.example'))}"]
        lines += [f"{name}={value}" for name, value in settings.items()]
        (home / "settings").write_text("\n".join(lines) + "\n")
        google.open(self.project, home)

    def run(self, script: str, *words: str, typed: str = "", ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a script of deploy/; `typed` is what a person types. Raises where it fails, unless that is expected."""
        environ = bare_environment() | {
            "PATH": f"{self._home}:{os.environ['PATH']}",
            "SETTINGS": str(self._home / "settings"),
        }
        environ |= {"HOME": str(self._home), "BIND_PAUSE": "0", "PATIENCE": "0", "LOG_PAUSE": "0"}
        command = [str(DEPLOY / script), *words]
        done = subprocess.run(command, env=environ, input=typed, capture_output=True, text=True, timeout=240)
        self.screen += done.stdout + done.stderr
        if ok and done.returncode != 0:
            raise AssertionError(f"{script} {' '.join(words)}: {done.stdout}\n{done.stderr}")
        return done

    def set_up(self, *parts: str) -> None:
        self.run("setup", *parts, typed="".join(f"{value}\n" for value in TYPED.values()))

    def shown(self, script: str, *words: str) -> list[list[str]]:
        """The gcloud commands that a script prints."""
        lines = self.run(script, *words).stdout.splitlines()
        return [shlex.split(part)[1:] for line in lines for part in line.split(" || ") if part.startswith("gcloud ")]

    def argvs(self, *words: str) -> list[list[str]]:
        """The words of every call so far that began with these."""
        return [call.argv for call in self.project.calls if call.argv[: len(words)] == list(words)]


def environment(argv: list[str]) -> dict[str, str]:
    """What a deployed revision finds in its environment, with the secrets that were typed."""
    given = flags(argv)
    plain = given["set-env-vars"].removeprefix("^|^").split("|")
    secret = [pair.partition("=")[0] for pair in given["set-secrets"].split(",")]
    environ = dict(pair.partition("=")[::2] for pair in plain) | {name: TYPED[name] for name in secret}
    return environ | {"K_SERVICE": "gateway", "PORT": "8080"}


def tool(name: str) -> str:
    """A command that a locked package brought along."""
    return str(Path(sys.executable).with_name(name))
