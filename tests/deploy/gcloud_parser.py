"""Run by gcloud's own Python: which of the commands on standard input its own parser does not take, and why.

    PYTHON gcloud_parser.py SDK_ROOT < [[WORD, …], …]

`gcloud meta lint-gcloud-commands` does nearly the same; it takes a third of a second for each command and reads each
as one text. Nothing is run, and nothing is asked of Google.
"""

import io
import json
import sys

root = sys.argv[1]
sys.path[:0] = [f"{root}/lib", f"{root}/lib/third_party"]
console, said = sys.stderr, io.StringIO()
sys.stderr = said  # gcloud keeps the one that it finds when it is imported

from googlecloudsdk import gcloud_main  # noqa: E402
from googlecloudsdk.core import properties  # noqa: E402

properties.VALUES.core.disable_prompts.Set(True)
parser = gcloud_main.CreateCLI([])._TopElement()._parser


def problem(words: list[str]) -> str | None:
    """Why the parser does not take a command; None where it does."""
    said.seek(0)
    said.truncate()
    try:
        parser.parse_args(words)
    except SystemExit:
        return said.getvalue().strip() or "refused without a word"
    except Exception as error:  # noqa: BLE001 -- whatever it is, the command is not one that gcloud takes
        return f"{type(error).__name__}: {error}"
    return None


problems = [problem(words) for words in json.load(sys.stdin)]
sys.stderr = console
print(json.dumps(problems))  # noqa: T201
