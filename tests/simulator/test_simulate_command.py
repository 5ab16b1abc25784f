"""The simulator as a command, and what it may depend on."""

import ast
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import app.simulator as package
from app.simulator import Simulator
from app.simulator.serve import account, parser

RUN = "import sys; from app.simulator.serve import main; sys.exit(main(sys.argv[1:]))"
ROOT = Path(package.__file__).parents[2]


def command(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def out(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def err(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stderr is not None
    return process.stderr


def test_it_prints_what_to_set_and_runs_until_it_is_told_to_stop(tmp_path: Path) -> None:
    import requests

    faults = tmp_path / "faults.json"
    faults.write_text(json.dumps({"endpoint": "master", "kind": "html", "status": 503}))
    for number in (signal.SIGTERM, signal.SIGINT):
        with command("--port", "0", "--seed", "5", "--faults", str(faults)) as running:
            settings = dict(out(running).readline().strip().split("=", 1) for _ in range(3))
            assert settings["FYERS_API_URL"].endswith("/api/v3")
            assert settings["FYERS_DATA_URL"].endswith("/data")
            nse, bse = settings["SYMBOL_MASTER_URLS"].split(",")
            assert requests.get(nse, timeout=5).status_code == 503
            assert requests.get(bse, timeout=5).text.count(",") > 20
            running.send_signal(number)
            assert running.wait(5) == 0
            assert err(running).read() == ""


def test_it_takes_any_token_unless_it_is_told_to_check() -> None:
    import requests

    for arguments, status in (([], 200), (["--check-tokens"], 401)):
        with command("--port", "0", *arguments) as running:
            url = out(running).readline().strip().split("=", 1)[1]
            assert (
                requests.get(f"{url}/funds", headers={"Authorization": "PAPER-200:paper"}, timeout=5).status_code
                == status
            )
            running.terminate()


def test_it_is_open_at_any_hour_unless_it_is_told_to_keep_the_exchanges() -> None:
    assert account(parser().parse_args([])).rules.always_open
    assert not account(parser().parse_args(["--hours"])).rules.always_open


def test_it_says_what_is_wrong_with_its_arguments(simulator: Simulator) -> None:
    for arguments, complaint in (
        (["--faults", '{"endpoint": "place"}'], "unknown fault kind"),
        (["--faults", '{"endpoint": "palce", "kind": "hang"}'], "unknown endpoint"),
        (["--faults", "no-such-file.json"], "no-such-file.json"),
        (["--port", str(simulator.port)], "choose another --port"),
    ):
        with command(*arguments) as refused:
            assert refused.wait(5) == 2
            error = err(refused).read()
            assert complaint in error
            assert "Traceback" not in error


def test_it_imports_the_standard_library_itself_and_the_facts_of_the_exchange_only() -> None:
    for path in Path(package.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            strangers = [
                name
                for name in names
                if name.split(".")[0] not in sys.stdlib_module_names
                and not name.startswith(("app.simulator", "app.facts"))
            ]
            assert strangers == [], f"{path.name} imports {strangers}"
