"""The result of one look at the gateway."""

from dataclasses import dataclass
from enum import StrEnum


class Mark(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """What was found, and the advice where something has to change."""

    name: str
    mark: Mark
    found: str
    advice: str = ""

    def document(self) -> dict[str, str]:
        return {"check": self.name, "result": str(self.mark), "found": self.found, "advice": self.advice}
