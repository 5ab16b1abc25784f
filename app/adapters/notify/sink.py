"""One place that notices go to."""

from typing import Protocol

from app.domain.notice import Notice


class NotTaken(Exception):
    """No sink said that it has the notice. `why` has no address in it: that may be a secret.

    `arrived`: it may have it all the same (no answer came, or a proxy's). `about_notice`: the sink works and did not
    like this one notice, so the next one is worth a try.
    """

    def __init__(self, why: str, *, arrived: bool = False, about_notice: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.arrived = arrived
        self.about_notice = about_notice


class Sink(Protocol):
    @property
    def name(self) -> str:
        """What the log and the ledger call it: the same in every instance, and no secret."""

    def push(self, notice: Notice, seconds: float) -> None:
        """Sends it once and waits for the answer, no longer than that. Raises NotTaken and nothing else."""
