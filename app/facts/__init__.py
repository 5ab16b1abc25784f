"""Facts of the outside world that the code relies on, as dated tables: one module a table, and rows alone.

A module here imports nothing of the gateway but this package. Each row gives its source, the day it was read, how sure
it is and when to read it again. A row that changes on a day leaves the row before it in place, so each date goes by
its own row. `python -m app facts` lists them all (`app/operations/register.py`).
"""

from app.facts.fact import Fact
from app.facts.source import Confidence, Source

__all__ = ["Confidence", "Fact", "Source"]
