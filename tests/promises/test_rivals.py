"""While one delivery stands before or after each of its port calls, a rival runs to the end there."""

from proof import rivals
from proof.gateway import a_workshop


def test_a_rival_at_any_step_never_makes_a_second_order_and_both_are_answered_rightly() -> None:
    assert rivals.run().violations == ()


def test_the_rival_is_tried_before_and_after_every_call_that_a_delivery_makes() -> None:
    (same, *_) = rivals.RIVALRIES
    with a_workshop(1) as (folder, _):
        places = {place for place, _ in rivals.steps_of(same, folder)}
    calls = ("claim", "quotes_and_positions", "unresolved", "submit", "place", "record")
    assert places >= {f"{when} {call}" for when in ("before", "after") for call in calls}
