"""The token in use: read once, never a dead one, replaced by a login on any instance; its absence is told once."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.domain.risk.controls import TradingState
from app.login.current import MOVES, LoginState
from app.login.token import Token
from tests.promises.login.login_world import Instance, LedgerDown, World
from tests.stopwatch import Stopwatch
from tests.tokens import ist, token


def test_a_login_is_never_forgotten_into_not_knowing_and_each_state_can_be_left() -> None:
    assert set(MOVES) == set(LoginState)
    assert all(LoginState.UNKNOWN not in to and state not in to and to for state, to in MOVES.items())


def test_a_move_that_is_not_in_the_table_changes_nothing(one: Instance) -> None:
    one.current._move(LoginState.AUTHENTICATED, "")

    with pytest.raises(ValueError, match="cannot go from AUTHENTICATED to UNKNOWN"):
        one.current._move(LoginState.UNKNOWN, "")

    assert one.current.state is LoginState.AUTHENTICATED


def state_of(instance: Instance) -> LoginState:
    return instance.current.state


def test_the_state_follows_what_the_store_holds(world: World, one: Instance) -> None:
    assert state_of(one) is LoginState.UNKNOWN
    world.alert(one)
    assert state_of(one) is LoginState.NEEDS_LOGIN
    world.put(token(ist(9)))
    world.clock.pass_by(3)
    world.alert(one)
    assert state_of(one) is LoginState.AUTHENTICATED
    world.clock.go_to(ist(9, day=21))
    world.alert(one)
    assert state_of(one) is LoginState.NEEDS_LOGIN


def test_a_store_that_does_not_answer_says_nothing_about_the_login(world: World, one: Instance) -> None:
    world.store.is_down = True

    assert "cannot be read" in world.put_off(one)

    assert one.current.state is LoginState.UNKNOWN
    assert world.phone.received == []


def test_a_store_that_goes_down_ends_no_login_that_can_be_alive(world: World, one: Instance) -> None:
    today = world.put(token(ist(9)))
    world.alert(one)
    world.store.is_down = True
    world.clock.pass_by(3600)

    assert world.alert(one) == today


def test_a_token_that_has_ended_is_dead_also_while_the_store_is_down(world: World, one: Instance) -> None:
    world.put(token(ist(9)))
    world.alert(one)
    world.store.is_down = True
    world.clock.go_to(ist(9, 16, day=21))

    assert "ended at 06:00 IST on 21-Nov-2026" in world.put_off(one)
    assert one.current.state is LoginState.NEEDS_LOGIN


# --- reading


def test_the_token_is_read_once_however_many_alerts_come(world: World, one: Instance) -> None:
    today = world.put(token(ist(9)))

    assert [world.alert(one) for _ in range(50)] == [today] * 50

    assert world.store.loads == 1


def test_a_hundred_alerts_at_once_are_one_read(world: World, one: Instance) -> None:
    today = world.put(token(ist(9)))
    world.store.hangs = 1

    with ThreadPoolExecutor(100) as pool:
        alerts = [pool.submit(world.alert, one) for _ in range(100)]
        time.sleep(0.1)
        world.store.answers.set()

        assert {alert.result(30) for alert in alerts} == {today}
    assert world.store.loads == 1


def test_a_store_that_hangs_costs_an_alert_no_more_than_its_deadline(world: World, one: Instance) -> None:
    world.store.hangs = 1
    watch = Stopwatch()

    assert "in time" in world.put_off(one, seconds=0.1)

    assert watch.seconds < 0.5
    assert one.current.state is LoginState.UNKNOWN


def test_a_read_that_hung_is_given_up_and_another_one_made(world: World, one: Instance) -> None:
    world.store.hangs = 1
    world.alert(one, seconds=0.05)
    today = world.put(token(ist(9)))
    world.clock.pass_by(1.5)
    assert "in time" in world.put_off(one, seconds=0.05)
    assert world.store.loads == 1
    world.clock.pass_by(3)

    assert world.alert(one) == today
    assert world.store.loads == 2


def test_a_slow_read_does_not_bring_an_older_token_back(world: World, one: Instance) -> None:
    today = one.current.adopt(token(ist(9)))

    assert one.current.adopt(token(ist(8))) == today
    assert world.alert(one) == today


def test_while_a_login_is_needed_the_store_is_read_once_a_second_at_most(world: World, one: Instance) -> None:
    for _ in range(100):
        world.alert(one)
        world.clock.pass_by(0.1)

    assert 2 <= world.store.loads <= 10


def test_a_login_through_another_instance_heals_this_one_within_five_seconds(
    world: World, one: Instance, other: Instance
) -> None:
    world.alert(one)
    world.fyers.gives["code"] = token(ist(9, 15))
    other.login.exchange("code", "/auth/callback", world.soon())

    world.clock.pass_by(3)

    assert isinstance(world.alert(one), Token)
    assert one.current.state is LoginState.AUTHENTICATED


# --- dead tokens


def test_a_token_known_to_have_ended_is_never_tried_at_fyers(world: World, one: Instance) -> None:
    world.put(token(ist(9, day=19)))

    assert "ended at 06:00 IST on 20-Nov-2026: log in again" in world.put_off(one)
    assert one.login.refresh(world.soon()) is LoginState.NEEDS_LOGIN

    assert world.fyers.asked == []


def test_a_token_that_ends_while_it_is_in_use_is_not_used_any_more(world: World, one: Instance) -> None:
    world.put(token(ist(9)))
    assert isinstance(world.alert(one), Token)
    world.clock.go_to(ist(6, day=21))

    assert "ended at 06:00 IST" in world.put_off(one)


def test_a_token_of_another_app_is_not_used(world: World, one: Instance) -> None:
    world.put(token(ist(9), app_id="OTHER-200"))

    assert "of another app than FYERS_APP_ID" in world.put_off(one)


def test_nonsense_in_the_store_needs_a_login_and_no_traceback(
    world: World, one: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    world.store.path.write_text("<html>")

    assert "cannot be read: log in again" in world.put_off(one)
    assert one.current.state is LoginState.NEEDS_LOGIN
    assert "Traceback" not in caplog.text


def test_a_refused_token_gives_way_to_the_one_that_another_instance_stored(world: World, one: Instance) -> None:
    old = world.put(token(ist(8)))
    world.alert(one)
    today = world.put(token(ist(9)))

    assert one.current.refused(old, "Token is Invalid or Expired", world.soon())

    assert world.alert(one) == today
    assert world.phone.received == []


def test_a_refused_token_without_another_ends_the_login(world: World, one: Instance) -> None:
    today = world.put(token(ist(8)))
    world.alert(one)

    assert not one.current.refused(today, "Token is\nInvalid", world.soon())

    assert one.current.state is LoginState.NEEDS_LOGIN
    assert "Fyers refuses the token (Token is Invalid): log in again" in world.put_off(one)


def test_a_refused_token_ends_the_login_also_while_the_store_is_down(world: World, one: Instance) -> None:
    today = world.put(token(ist(8)))
    world.alert(one)
    world.store.is_down = True

    assert not one.current.refused(today, "Token is Invalid", world.soon())

    assert one.current.state is LoginState.NEEDS_LOGIN
    assert len(world.phone.received) == 1


def test_a_late_refusal_of_yesterdays_token_does_not_end_todays_login(world: World, one: Instance) -> None:
    yesterday = token(ist(9, day=19))
    today = world.put(token(ist(9)))
    world.alert(one)

    assert one.current.refused(yesterday, "Token is Invalid", world.soon())

    assert world.alert(one) == today
    assert world.store.loads == 1


def test_a_refusal_that_was_a_mistake_is_healed_on_every_instance_by_one_validation(
    world: World, one: Instance, other: Instance
) -> None:
    today = world.put(token(ist(8)))
    for instance in (one, other):
        world.alert(instance)
        instance.current.refused(today, "Token is Invalid", world.soon())
    world.clock.pass_by(60)

    assert one.login.refresh(world.soon()) is LoginState.AUTHENTICATED

    assert world.served(one).access_token == today.access_token
    assert world.served(other).access_token == today.access_token


# --- notices


def test_one_dead_token_is_told_once_however_many_alerts_and_instances_meet_it(
    world: World, one: Instance, other: Instance
) -> None:
    world.put(token(ist(9, day=19)))
    for _ in range(20):
        world.alert(one)
        world.alert(other)
        world.clock.pass_by(5)

    (notice,) = world.phone.received
    assert notice.severity == "CRITICAL"
    assert "state=" in notice.text
    assert "06:30 IST" in notice.text


def test_the_next_day_a_missing_login_is_told_again(world: World, one: Instance) -> None:
    world.alert(one)
    world.clock.go_to(ist(5, 59, day=21))
    world.alert(one)
    assert len(world.phone.received) == 1

    world.clock.go_to(ist(6, 0, day=21))
    world.alert(one)

    assert len(world.phone.received) == 2


def test_another_dead_token_on_the_same_day_is_told_again(world: World, one: Instance) -> None:
    world.alert(one)
    today = world.put(token(ist(9)))
    world.clock.pass_by(3)
    world.alert(one)
    one.current.refused(today, "Token is Invalid", world.soon())

    assert len({notice.id for notice in world.phone.received}) == 2


def test_the_notice_goes_out_without_a_ledger_too(world: World) -> None:
    one = world.instance(ledger=LedgerDown())
    for _ in range(5):
        world.alert(one)
        world.clock.pass_by(5)

    assert [notice.kind for notice in world.phone.received] == ["login-needed"]


def test_where_no_notice_got_out_the_next_alert_tries_again(world: World) -> None:
    one = world.instance(ledger=LedgerDown())
    world.phone.works = False
    world.alert(one)
    world.phone.works = True
    world.alert(one)

    assert [notice.kind for notice in world.phone.received] == ["login-needed"]


def test_a_phone_out_of_reach_leaves_the_notice_in_the_outbox(world: World, one: Instance) -> None:
    world.phone.works = False
    world.alert(one)

    assert [notice.kind for notice in world.ledger.outbox(world.soon())] == ["login-needed"]


def test_an_app_that_may_place_no_orders_halts_trading_for_all(world: World, one: Instance) -> None:
    one.current.forbidden("Algo orders are not allowed from this app\n TESTAPP-200", world.soon())

    account = world.ledger.controls(world.soon())
    assert account.state is TradingState.HALTED
    assert (
        account.reason == "Fyers takes no orders from this app: Algo orders are not allowed from this app TESTAPP-200"
    )
    assert [notice.kind for notice in world.ledger.outbox(world.soon())] == ["trading-state"]


def test_a_halt_by_an_operator_keeps_its_reason(world: World, one: Instance) -> None:
    now = world.clock.now()
    world.ledger.change_controls(lambda it: it.switched(TradingState.HALTED, "holiday", "owner", now), world.soon())

    one.current.forbidden("not allowed from this app", world.soon())

    assert world.ledger.controls(world.soon()).reason == "holiday"


def test_a_halt_that_the_ledger_does_not_take_is_told_directly(world: World) -> None:
    one = world.instance(ledger=LedgerDown())

    one.current.forbidden("not allowed from this app", world.soon())

    (notice,) = world.phone.received
    assert "could not be halted" in notice.text


def test_the_status_publishes_no_notice_and_never_raises(world: World, one: Instance) -> None:
    missing = one.current.status(world.soon())
    assert missing.problem is not None
    assert world.phone.received == []

    today = world.put(token(ist(9)))
    world.clock.pass_by(3)
    fine = one.current.status(world.soon(), needed_until=ist(15, 40))
    assert (fine.state, fine.problem, fine.ends_at) == (LoginState.AUTHENTICATED, None, today.ends_at)

    world.store.is_down = True
    assert world.instance().current.status(world.soon()).problem == ("the token store cannot be read; nothing was sent")


def test_the_status_says_early_that_a_login_will_not_last_the_session(world: World, one: Instance) -> None:
    world.clock.go_to(ist(6, 20))
    world.put(token(ist(6, 10)))

    status = one.current.status(world.soon(), needed_until=ist(15, 40))

    assert status.problem == "the login ends at 06:30 IST on 20-Nov-2026: log in again after 06:30 IST"
