"""python -m proof.simulation SEED … [--ledger sqlite]: plays these histories again and says what they break."""

import argparse
import sys

from proof.simulation.run import MEMORY, SQLITE, play


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proof.simulation", description=__doc__)
    parser.add_argument("seed", nargs="+", type=int)
    parser.add_argument("--ledger", choices=(MEMORY, SQLITE), default=MEMORY)
    wanted = parser.parse_args()
    found = play(wanted.seed, wanted.ledger)
    sys.stdout.writelines(f"{violation}\n" for violation in found or ["every promise holds"])
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
