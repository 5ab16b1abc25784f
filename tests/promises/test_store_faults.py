"""What can go wrong with the store, at each call: right answers, no double, nothing lost."""

from proof import store
from proof.gateway import a_workshop


def test_a_fault_of_the_store_at_any_call_neither_doubles_nor_loses_an_order() -> None:
    assert store.run(slice_only=True).violations == ()


def test_every_method_that_the_flow_and_reconcile_use_is_broken_at_least_once() -> None:
    with a_workshop(1) as (folder, _):
        methods = {cell.call[0] for cell in store.cells(folder, store.STORIES, slice_only=True)}
    assert methods >= {"claim", "submit", "record", "notify", "unresolved", "orders", "outbox", "delivered"}
