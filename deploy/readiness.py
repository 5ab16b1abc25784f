#!/usr/bin/env python3
"""Is the candidate as ready as the revision that serves now? Exit 0 if so, 1 if not.

    gcloud run services describe SERVICE --format=json | deploy/readiness.py SECONDS

Asks /ready of both, for so many seconds at most: the first packets of a new instance on a VPC can take a minute. The
ledger and the symbols must be fine; the login and the broker may be no worse than they are now: a release must not
wait for a login.
"""

# ruff: noqa: T201, S310 -- a command prints, and the addresses are those of our own service

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping

PAUSE = 5.0  # seconds
ANSWER = 15.0
ROUTE = "/ready"  # Google's front end may keep names that end in z for itself
INDISPENSABLE = frozenset({"ledger", "symbols"})

Checks = Mapping[str, str]


def main(patience: float) -> int:
    service = json.load(sys.stdin)
    candidate = next((part["url"] for part in service["status"]["traffic"] if part.get("tag") == "candidate"), None)
    if candidate is None:
        print("error: the service has no revision with the tag candidate")
        return 1
    ends = time.monotonic() + patience
    while True:
        now, then = checks(service["status"]["url"]), checks(candidate)
        worse = problems(now, then)
        if not worse or time.monotonic() + PAUSE > ends:
            break
        time.sleep(PAUSE)
    for name in sorted(now.keys() | then.keys()):
        print(f"{name:<9} now: {now.get(name, 'no answer'):<40} candidate: {then.get(name, 'no answer')}")
    print(f"not ready: {', '.join(worse)}" if worse else "ready")
    return 1 if worse else 0


def problems(now: Checks, then: Checks) -> list[str]:
    """The checks in which the candidate may not take over."""
    if not then:
        return ["no answer"]
    needed = INDISPENSABLE | {name for name, said in now.items() if said == "ok"}
    return sorted(name for name in needed if then.get(name) != "ok")


def checks(url: str) -> Checks:
    """What /ready says, ready or not; nothing where it does not answer in our words."""
    try:
        try:
            with urllib.request.urlopen(f"{url}{ROUTE}", timeout=ANSWER) as answer:
                document = json.load(answer)
        except urllib.error.HTTPError as unready:
            with unready:
                document = json.load(unready)
        found = document["checks"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
