"""`make bench`: the figures that are measured so far; each module says what they include and stand beside."""

from bench import ledger, symbols

if __name__ == "__main__":
    symbols.main()
    ledger.main()
