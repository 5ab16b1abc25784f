"""One place that notices are sent to."""

from typing import Protocol

from app.domain.notice import Notice


class NotTaken(Exception):
    """The sink did not confirm the notice. `why` has no address in it, since an address may be a secret.

    `arrived`: the sink may have the notice all the same (no reply came, or a proxy's). `about_notice`: the sink works
    and refused this notice alone, so the next one is worth a try.
    """

    def __init__(self, why: str, *, arrived: bool = False, about_notice: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.arrived = arrived
        self.about_notice = about_notice


class Sink(Protocol):
    @property
    def name(self) -> str:
        """Its name in the log and the ledger: the same in every instance, and no secret."""

    def push(self, notice: Notice, seconds: float) -> None:
        """Sends it once and waits for the reply, at most so long. Raises NotTaken and nothing else."""
