"""Facts of the outside world that the code relies on, as dated tables: one module a table, rows and nothing else.

A module here imports nothing of the gateway but this package. Each row says where it was read, when, how sure that is
and when to look again; a row that changed on a day keeps the row before it, so that every date is judged by its own.
`register` lists them all: `python -m app facts`.
"""

from app.facts.fact import Fact
from app.facts.source import Confidence, Source

__all__ = ["Confidence", "Fact", "Source"]
