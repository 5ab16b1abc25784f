"""Adapts the process to the shell that started it, before anything else runs."""

import io
import os
import sys


def settle() -> None:
    """Removes the shell's proxies from the environment, and lets output be shown in any encoding.

    Nothing may go through a proxy: Fyers takes orders from the one registered address, notification addresses contain
    secrets, and a proxy cannot reach this machine's loopback. requests, urllib and gRPC each read these variables, so
    they are removed. A character that the output's encoding lacks (PYTHONIOENCODING=ascii) becomes a question mark.
    """
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
