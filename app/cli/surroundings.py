"""What a command does about the shell that it was started from, before anything else."""

import io
import os
import sys


def settle() -> None:
    """Takes the shell's proxies out of the environment, and lets a terminal show what it can of a text.

    No proxy may carry what the gateway sends: Fyers takes orders from the one registered address, notices have secrets
    in their addresses, and on loopback a proxy would be asked for this very machine. Each of the libraries reads these
    variables by itself (requests, urllib, gRPC), so no library is to find them. What an output's encoding does not have
    (PYTHONIOENCODING=ascii) becomes a question mark there; it stopped the command before.
    """
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
