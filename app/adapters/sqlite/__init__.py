"""The ledger in one SQLite file."""

from app.adapters.sqlite.ledger import SqliteLedger

__all__ = ["SqliteLedger"]
