"""Where a fact was read, and when to read it again."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Confidence(StrEnum):
    HIGH = "high"  # the primary text was read, or the thing itself was measured
    MEDIUM = "medium"  # a secondary source
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Source:
    """`text` names the document or the address; `seen` is the day it was read, `review_by` the day to read it again."""

    text: str
    seen: date
    confidence: Confidence
    review_by: date
