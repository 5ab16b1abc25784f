"""Logging in: one tap on a link that works once, and only a token that Fyers takes is kept."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.login.current import LoginState
from app.login.login import LoginResult
from app.login.ports import LoginRefused
from app.login.token import Token
from tests.promises.login.login_world import PIN, Instance, LedgerDown, World, state_of
from tests.tokens import APP_ID, ist, token

PAGE = "/auth/callback"


def log_in(world: World, instance: Instance, code: str = "code", **fields: Any) -> LoginResult:
    world.fyers.gives.setdefault(code, token(world.clock.now(), **fields))
    return instance.login.complete(code, state_of(instance.begin(world)), PAGE, world.soon())


def test_a_login_stores_a_token_that_fyers_takes(world: World, one: Instance, other: Instance) -> None:
    result = log_in(world, one)

    assert (result.state, result.account, result.warnings) == (LoginState.AUTHENTICATED, "XY***4", ())
    assert result.ends_at == ist(6, day=21)
    assert world.fyers.asked == ["exchange", "profile"]
    assert world.served(other).last_validated_at == world.clock.now()


def test_a_login_begun_at_one_instance_may_end_at_another(world: World, one: Instance, other: Instance) -> None:
    world.fyers.gives["code"] = token(ist(9, 15))

    result = other.login.complete("code", state_of(one.begin(world)), PAGE, world.soon())

    assert result.state is LoginState.AUTHENTICATED


def test_a_login_before_half_past_six_says_that_it_will_not_last(world: World, one: Instance) -> None:
    world.clock.go_to(ist(6, 10))

    result = log_in(world, one)

    assert result.ends_at == ist(6, 30)
    assert "log in again after 06:30" in result.warnings[0]


def test_a_token_that_fyers_does_not_take_is_not_stored(world: World, one: Instance) -> None:
    world.fyers.gives["code"] = bad = token(ist(9))
    world.fyers.dead.add(bad.access_token)

    with pytest.raises(LoginRefused, match="Invalid or Expired"):
        log_in(world, one)

    assert world.store.file.load(world.soon()) is None
    assert one.current.state is LoginState.UNKNOWN


def test_a_token_of_which_fyers_does_not_say_whose_it_is_is_not_taken_and_the_former_one_stays(
    world: World, one: Instance
) -> None:
    today = world.put(token(ist(9)))
    profiles: list[Any] = [lambda *_: None, lambda *_: (_ for _ in ()).throw(NotNow(Reason.BROKER_DOWN))]
    for profile in profiles:
        world.fyers.profile = profile  # type: ignore[method-assign]
        with pytest.raises(NotNow, match="did not say whose login this is, so it was refused: log in again"):
            log_in(world, one)

    assert world.store.file.load(world.soon()) == today
    assert world.alert(one) == today


def test_a_profile_that_does_not_come_is_asked_for_once_more_since_the_auth_code_is_used_up(
    world: World, one: Instance
) -> None:
    answers: list[NotNow | str] = [NotNow(Reason.BROKER_DOWN), "XY01234"]

    def profile(token: Token, deadline: Deadline) -> str:
        if isinstance(answer := answers.pop(0), NotNow):
            raise answer
        return answer

    world.fyers.profile = profile  # type: ignore[method-assign]
    assert log_in(world, one).state is LoginState.AUTHENTICATED


def test_a_token_of_another_app_or_dead_on_arrival_is_not_stored(world: World, one: Instance) -> None:
    world.fyers.gives |= {"a": token(ist(9), app_id="OTHER-200"), "b": token(ist(9, day=19))}

    for code, why in (("a", "another app"), ("b", "ended at 06:00")):
        with pytest.raises(LoginRefused, match=why):
            log_in(world, one, code)

    assert world.store.file.load(world.soon()) is None


def test_an_older_login_that_ends_later_does_not_undo_a_newer_one(world: World, one: Instance, other: Instance) -> None:
    world.fyers.gives["old"] = token(ist(9, 10))
    newer = log_in(world, other, "new")

    result = log_in(world, one, "old")

    assert "newer token stays" in result.warnings[0]
    assert result.ends_at == newer.ends_at
    assert world.served(one).issued_at == ist(9, 16)


@pytest.mark.parametrize("code", [None, "", "x" * 9000, "kü", "a\nb"])
def test_what_is_no_auth_code_never_reaches_fyers(world: World, one: Instance, code: str | None) -> None:
    with pytest.raises(LoginRefused, match="auth_code"):
        one.login.exchange(code, PAGE, world.soon())

    assert world.fyers.asked == []


def test_a_refused_auth_code_is_refused_in_fyers_words(world: World, one: Instance) -> None:
    with pytest.raises(LoginRefused, match="invalid auth code"):
        one.login.complete("wrong", state_of(one.begin(world)), PAGE, world.soon())


def test_a_login_that_cannot_be_stored_is_not_called_one(world: World, one: Instance) -> None:
    world.fyers.gives["code"] = token(ist(9))
    world.store.save = lambda *_: (_ for _ in ()).throw(NotNow(Reason.NEEDS_LOGIN, "it cannot be written"))  # type: ignore[method-assign]

    with pytest.raises(NotNow, match="cannot be written"):
        log_in(world, one)
    assert one.current.state is LoginState.UNKNOWN


# --- the state of a link


def refused_link(world: World, instance: Instance, state: str | None) -> str:
    world.fyers.gives["code"] = token(ist(9))
    with pytest.raises(LoginRefused) as refusal:
        instance.login.complete("code", state, PAGE, world.soon())
    assert world.fyers.asked == []
    return refusal.value.message


def test_a_link_works_once_on_whatever_instance(world: World, one: Instance, other: Instance) -> None:
    state = state_of(one.begin(world))
    world.fyers.gives["code"] = token(ist(9))
    one.login.complete("code", state, PAGE, world.soon())
    world.fyers.asked.clear()

    assert "still open" in refused_link(world, one, state)
    assert "still open" in refused_link(world, other, state)


def test_a_link_that_led_to_no_login_works_no_second_time(world: World, one: Instance, other: Instance) -> None:
    state = state_of(one.begin(world))
    with pytest.raises(LoginRefused, match="invalid auth code"):
        one.login.complete("wrong", state, PAGE, world.soon())
    world.fyers.asked.clear()

    assert "used before" in refused_link(world, one, state)
    assert "used before" in refused_link(world, other, state)


def test_a_link_expires_after_ten_minutes_and_one_for_the_phone_after_twenty(world: World, one: Instance) -> None:
    shown = state_of(one.begin(world))
    one.login.refresh(world.soon())
    sent = state_of(world.phone.of("login-link")[0].text)
    world.clock.pass_by(601)
    assert "expired" in refused_link(world, one, shown)
    world.clock.pass_by(590)
    world.fyers.gives["code"] = token(ist(9))
    assert one.login.complete("code", sent, PAGE, world.soon()).state is LoginState.AUTHENTICATED


@pytest.mark.parametrize(
    "forge",
    [
        lambda state: "",
        lambda state: None,
        lambda state: "x",
        lambda state: state[:-1],
        lambda state: state + "\n",
        lambda state: "0" * 32 + state[32:],
        lambda state: state[:33] + str(int(state[33:43]) + 600) + state[43:],
        lambda state: state[:44] + "0" * 64,
        lambda state: state.upper(),
        lambda state: state.replace(".", "é"),
        lambda state: "9" * 100_000,
    ],
)
def test_a_state_that_the_gateway_did_not_sign_is_refused(
    world: World, one: Instance, forge: Callable[..., Any]
) -> None:
    state = state_of(one.begin(world))
    forged = forge(state)
    assert forged != state

    assert "does not come from a link of this service that is still open" in refused_link(world, one, forged)


def test_without_a_ledger_no_link_is_used_up_and_none_is_taken(world: World, one: Instance) -> None:
    state = state_of(one.begin(world))
    with pytest.raises(NotNow):
        world.instance(ledger=LedgerDown()).login.complete("code", state, PAGE, world.soon())
    world.fyers.gives["code"] = token(ist(9))

    assert one.login.complete("code", state, PAGE, world.soon()).state is LoginState.AUTHENTICATED


# --- what the scheduler asks for


def test_a_login_that_is_alive_is_left_alone_each_time(world: World, one: Instance) -> None:
    world.put(token(ist(9)))

    assert [one.login.refresh(world.soon()) for _ in range(3)] == [LoginState.AUTHENTICATED] * 3

    assert world.phone.received == []
    assert set(world.fyers.asked) == {"profile"}


def test_a_missing_login_sends_a_link_that_completes_it(world: World, one: Instance, other: Instance) -> None:
    assert one.login.refresh(world.soon()) is LoginState.NEEDS_LOGIN
    (notice,) = world.phone.received
    world.fyers.gives["code"] = token(ist(9))

    other.login.complete("code", state_of(notice.text), PAGE, world.soon())

    assert one.login.refresh(world.soon()) is LoginState.AUTHENTICATED


def test_the_link_is_sent_until_it_is_done_but_once_in_a_quarter_of_an_hour(
    world: World, one: Instance, other: Instance
) -> None:
    for minute in range(16, 61):
        world.clock.go_to(ist(9) + timedelta(minutes=minute))
        assert one.login.refresh(world.soon()) is LoginState.NEEDS_LOGIN
        assert other.login.refresh(world.soon()) is LoginState.NEEDS_LOGIN

    assert [notice.id[-5:] for notice in world.phone.received] == ["09:15", "09:30", "09:45", "10:00"]


def test_a_token_that_fyers_refuses_is_found_out_before_an_alert_needs_it(world: World, one: Instance) -> None:
    world.fyers.dead.add(world.put(token(ist(9))).access_token)

    assert one.login.refresh(world.soon()) is LoginState.NEEDS_LOGIN

    assert len(world.phone.of("login-link")) == 1
    assert isinstance(world.alert(one), str)


def test_where_the_store_or_fyers_does_not_answer_the_state_is_not_told(world: World, one: Instance) -> None:
    world.put(token(ist(9)))
    world.fyers.is_down = True
    assert one.login.refresh(world.soon()) is LoginState.UNKNOWN
    world.store.is_down = True
    assert one.login.refresh(world.soon()) is LoginState.UNKNOWN

    assert world.phone.received == []


def test_nonsense_in_the_store_sends_the_link(world: World, one: Instance) -> None:
    world.store.path.write_text("{}")

    assert one.login.refresh(world.soon()) is LoginState.NEEDS_LOGIN
    assert len(world.phone.of("login-link")) == 1


def test_a_refresh_token_is_used_where_fyers_still_takes_it(world: World) -> None:
    one = world.instance(pin=PIN)
    world.put(token(ist(9, day=19), refresh_token="CANARY-REFRESH"))
    world.fyers.takes_refresh_tokens = True

    assert one.login.refresh(world.soon()) is LoginState.AUTHENTICATED

    renewed = world.served(world.instance())
    assert (renewed.issued_at, renewed.refresh_token, renewed.app_id) == (ist(9, 16), "CANARY-REFRESH", APP_ID)
    assert world.fyers.asked == ["refresh", "profile"]


def test_a_refresh_token_that_fyers_refuses_ends_in_the_link(world: World) -> None:
    one = world.instance(pin=PIN)
    world.put(token(ist(9, day=19), refresh_token="CANARY-REFRESH"))

    assert one.login.refresh(world.soon()) is LoginState.NEEDS_LOGIN
    assert len(world.phone.of("login-link")) == 1


def test_a_renewed_token_that_only_looks_valid_is_never_stored(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    one = world.instance(pin=PIN)
    old = world.put(token(ist(9, day=19), refresh_token="CANARY-REFRESH"))
    world.fyers.takes_refresh_tokens = True
    monkeypatch.setattr(world.fyers, "profile", lambda *_: (_ for _ in ()).throw(LoginRefused("no", -16)))

    assert one.login.refresh(world.soon()) is LoginState.NEEDS_LOGIN
    assert world.store.file.load(world.soon()) == old


def test_without_a_pin_a_refresh_token_is_not_tried(world: World, one: Instance) -> None:
    world.put(token(ist(9, day=19), refresh_token="CANARY-REFRESH"))

    one.login.refresh(world.soon())

    assert world.fyers.asked == []


# --- secrets


def test_no_secret_shows_in_logs_notices_errors_or_reprs(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    one = world.instance(pin=PIN)
    today = world.put(token(ist(9), refresh_token="CANARY-REFRESH"))
    shown: list[object] = [world.alert(one)]
    one.current.refused(today, f"Token {today.access_token} is invalid", world.soon())
    shown.append(world.alert(one))
    world.fyers.dead.add(today.access_token)
    one.login.refresh(world.soon())
    for code, state in (("CANARY-CODE", "CANARY-STATE"), ("CANARY-CODE", state_of(one.begin(world)))):
        with pytest.raises(LoginRefused) as refusal:
            one.login.complete(code, state, PAGE, world.soon())
        shown.append(repr(refusal.value))
    shown.append(log_in(world, one))
    shown += [one.current.status(world.soon()), one.current.__dict__["_links"], one.login, one.current]
    shown += [notice.document() for notice in (*world.phone.received, *world.ledger.outbox(world.soon()))]

    everything = caplog.text + repr([vars(record) for record in caplog.records]) + repr(shown)
    assert "eyJ" not in everything
    assert "CANARY" not in everything
