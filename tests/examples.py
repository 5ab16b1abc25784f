"""How many examples a property is tried on: `make verify` has time for more than a push."""

import os


def examples(count: int) -> int:
    """`count`, times EXAMPLES of the environment."""
    return count * int(os.environ.get("EXAMPLES", "1"))
