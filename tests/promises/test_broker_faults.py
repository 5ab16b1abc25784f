"""Every fault of the simulated broker on every call, through the real adapter and real HTTP."""

import pytest

from app.simulator import FaultKind
from proof import wire


def test_every_kind_of_fault_is_tried_on_every_call() -> None:
    tried = {(cell.endpoint, cell.fault.kind) for cell in wire.CELLS}
    assert tried >= {(endpoint, kind) for endpoint in ("place", "quotes", "positions", "orders") for kind in FaultKind}


@pytest.mark.parametrize("endpoints", [("place",), ("quotes", "positions"), ("orders", "cancel")], ids="-".join)
def test_each_fault_lands_in_its_class_in_time_and_the_ledger_agrees_with_the_book_in_the_end(
    endpoints: tuple[str, ...],
) -> None:
    cells = [cell for cell in wire.CELLS if cell.endpoint in endpoints]
    assert wire.run(cells).violations == ()
