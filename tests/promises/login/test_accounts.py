"""The login belongs to one account: the token of any other is refused on every path, told, and displaces nothing."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.domain.notice import Severity
from app.login.current import LoginState
from app.login.holder import OtherAccount
from app.login.login import LoginResult
from app.login.ports import LoginRefused
from app.login.token import Token
from tests.present import present
from tests.promises.login.login_world import PIN, Instance, World, state_of
from tests.tokens import CLIENT_ID, OTHER_ID, ist, signed, token

PAGE = "/auth/callback"


def by_link(world: World, instance: Instance) -> LoginResult:
    return instance.login.complete("code", state_of(instance.begin(world)), PAGE, world.soon())


def by_hand(world: World, instance: Instance) -> LoginResult:
    return instance.login.exchange("code", "/generate-token", world.soon())


def of_another(world: World, at: datetime | None = None) -> Token:
    return token(at or world.clock.now(), account=OTHER_ID)


def told(world: World) -> list[tuple[Severity, str]]:
    return [(notice.severity, notice.text) for notice in world.phone.of("login-refused")]


# --- a login


@pytest.mark.parametrize("way", [by_link, by_hand])
def test_the_login_of_another_account_is_refused_and_the_former_one_stays_in_force(
    world: World, one: Instance, other: Instance, way: Callable[..., Any]
) -> None:
    today = world.put(token(ist(9)))
    world.fyers.gives["code"] = of_another(world)

    with pytest.raises(OtherAccount, match=r"AB\*\*\*5, which is not FYERS_CLIENT_ID; it was not taken"):
        way(world, one)

    assert world.store.file.load(world.soon()) == today
    assert (world.alert(one), world.alert(other)) == (today, today)


@pytest.mark.parametrize(("way", "page"), [(by_link, PAGE), (by_hand, "/generate-token")])
def test_a_refused_login_is_told_with_the_masked_account_and_the_page_once_an_hour(
    world: World, one: Instance, other: Instance, way: Callable[..., Any], page: str
) -> None:
    for instance in (one, other, one):
        world.fyers.gives["code"] = of_another(world)
        with pytest.raises(OtherAccount):
            way(world, instance)

    [(severity, text)] = told(world)
    assert severity == "CRITICAL"
    assert f"AB***5 came through {page} and was refused" in text
    assert OTHER_ID not in text
    world.clock.pass_by(3600)
    world.fyers.gives["code"] = of_another(world)
    with pytest.raises(OtherAccount):
        way(world, one)
    assert len(told(world)) == 2


@pytest.mark.parametrize(("way", "page"), [(by_link, PAGE), (by_hand, "/generate-token")])
def test_every_login_is_told_with_the_masked_account_and_the_page(
    world: World, one: Instance, way: Callable[..., Any], page: str
) -> None:
    for number in range(1, 3):
        world.fyers.gives["code"] = token(world.clock.now())
        way(world, one)
        notice = world.phone.of("logged-in")[-1]
        assert len(world.phone.of("logged-in")) == number
        assert notice.text == f"Logged in at Fyers as XY***4 through {page}; it ends at 06:00 IST on 21-Nov-2026."


def test_what_fyers_says_counts_and_not_the_token_s_own_word(world: World, one: Instance) -> None:
    """Its JWT may say what it likes: that can be read and not verified."""
    world.fyers.gives["code"] = token(ist(9))
    world.fyers.says = lambda _: OTHER_ID

    with pytest.raises(OtherAccount):
        by_link(world, one)
    assert world.store.file.load(world.soon()) is None


def test_a_token_that_says_itself_that_it_is_another_s_is_refused_whatever_fyers_says(
    world: World, one: Instance
) -> None:
    world.fyers.gives["code"] = of_another(world)
    world.fyers.says = lambda _: CLIENT_ID

    with pytest.raises(OtherAccount):
        by_link(world, one)
    assert "profile" not in world.fyers.asked


@pytest.mark.parametrize("written", [CLIENT_ID.lower(), f" {CLIENT_ID} "])
def test_the_account_is_the_same_however_fyers_writes_it(world: World, one: Instance, written: str) -> None:
    world.fyers.gives["code"] = token(ist(9))
    world.fyers.says = lambda _: written

    assert by_link(world, one).account == "XY***4"


def test_a_token_renewed_for_another_account_is_refused_and_told(world: World) -> None:
    one = world.instance(pin=PIN)
    old = world.put(token(ist(9, day=19), refresh_token="CANARY-REFRESH"))
    world.fyers.takes_refresh_tokens = True
    world.fyers.says = lambda _: OTHER_ID

    assert one.login.refresh(world.soon()) is LoginState.NEEDS_LOGIN

    assert world.store.file.load(world.soon()) == old
    assert len(told(world)) == 1


# --- a token object that appears in the store


@pytest.mark.parametrize("seal", [None, "0" * 64, ""])
def test_a_token_of_another_account_that_appears_in_the_store_is_never_used_and_told(
    world: World, one: Instance, other: Instance, seal: str | None
) -> None:
    world.slip_in(replace(of_another(world), seal=seal))

    for instance in (one, other):
        assert "belongs to the account AB***5, which is not FYERS_CLIENT_ID: log in again" in world.put_off(instance)
        assert instance.current.state is LoginState.NEEDS_LOGIN
    assert len(told(world)) == 1


def test_a_seal_is_good_for_its_own_token_alone(world: World, one: Instance) -> None:
    sealed = world.put(token(ist(9)))
    world.slip_in(replace(of_another(world), seal=sealed.seal))

    assert "which is not FYERS_CLIENT_ID" in world.put_off(one)


def test_a_token_of_unknown_origin_is_asked_about_once_before_its_first_use(world: World, one: Instance) -> None:
    world.slip_in(token(ist(9)))

    for _ in range(5):
        assert world.served(one).access_token
        one.current._token = None  # as after a refusal: it is looked up again
        world.clock.pass_by(3)

    assert world.fyers.asked == ["profile"]


def test_another_s_token_in_the_store_is_asked_about_once_however_many_alerts_come(world: World, one: Instance) -> None:
    world.slip_in(token(ist(9)))
    world.fyers.says = lambda _: OTHER_ID

    for _ in range(20):
        assert isinstance(world.alert(one), str)
        world.clock.pass_by(3)

    assert world.fyers.asked == ["profile"]


def test_while_fyers_does_not_say_whose_it_is_an_unknown_token_is_not_used_and_later_it_is(
    world: World, one: Instance
) -> None:
    opaque = world.slip_in(token(ist(9)))
    world.fyers.is_down = True
    assert world.put_off(one).startswith(Reason.BROKER_DOWN)
    world.fyers.is_down = False
    world.fyers.says = lambda _: None
    world.clock.pass_by(3)
    assert "does not say whose login this is" in world.put_off(one)
    assert one.current.state is LoginState.UNKNOWN

    world.fyers.says = lambda _: CLIENT_ID
    world.clock.pass_by(3)
    assert world.served(one).access_token == opaque.access_token


def test_a_token_that_a_login_here_wrote_is_used_without_asking(world: World, one: Instance, other: Instance) -> None:
    world.fyers.gives["code"] = token(ist(9, 15))
    by_link(world, one)
    world.fyers.asked.clear()
    world.fyers.is_down = True

    assert world.served(other).access_token
    assert world.fyers.asked == []


def test_a_good_token_outlives_another_s_in_the_store_and_is_put_back(
    world: World, one: Instance, other: Instance
) -> None:
    today = world.put(token(ist(9)))
    world.alert(one)
    world.slip_in(of_another(world))
    world.clock.pass_by(3)
    assert world.alert(one) == today

    assert one.login.refresh(world.soon()) is LoginState.AUTHENTICATED

    assert present(world.store.file.load(world.soon())).access_token == today.access_token
    assert world.served(other).access_token == today.access_token
    assert len(told(world)) == 1


def test_another_s_token_from_the_future_does_not_keep_the_owner_s_login_out(world: World, one: Instance) -> None:
    later = {"access_token": signed({"fy_id": OTHER_ID}), "issued_at": "2027-01-01T03:00:00+00:00"}
    world.store.path.write_text(json.dumps(later))
    world.fyers.gives["code"] = today = token(ist(9))

    assert by_link(world, one).warnings == ()
    assert world.served(one).access_token == today.access_token


def test_another_s_dead_token_with_a_live_refresh_token_gets_nowhere(world: World) -> None:
    one = world.instance(pin=PIN)
    world.slip_in(token(ist(9, day=19), account=OTHER_ID, refresh_token="CANARY-REFRESH"))
    world.fyers.takes_refresh_tokens = True
    world.fyers.says = lambda _: OTHER_ID

    assert one.login.refresh(world.soon()) is LoginState.NEEDS_LOGIN
    assert isinstance(world.alert(one), str)


def test_a_rival_that_slips_another_s_token_in_during_the_login_does_not_undo_it(
    world: World, one: Instance, other: Instance
) -> None:
    """The login reads the store, then writes: the rival runs in between."""
    save = world.store.file.save

    def overtaken(token: Token, deadline: Deadline) -> Token:
        world.slip_in(of_another(world, ist(9, 40)))
        return save(token, deadline)

    world.store.file.save = overtaken  # type: ignore[method-assign]
    world.fyers.gives["code"] = today = token(ist(9))
    by_link(world, one)

    assert (world.served(one).access_token, world.served(other).access_token) == (today.access_token,) * 2


# --- links


def test_a_login_ends_every_link_that_is_still_open_on_every_instance(
    world: World, one: Instance, other: Instance
) -> None:
    open_links = [state_of(instance.begin(world)) for instance in (one, other)]
    one.login.refresh(world.soon())
    open_links.append(state_of(world.phone.of("login-link")[0].text))
    world.fyers.gives["code"] = token(ist(9))
    by_link(world, one)

    for state in open_links:
        for instance in (one, other):
            world.fyers.gives["code"] = token(ist(9))
            with pytest.raises(LoginRefused, match=r"still open|ended by a later login"):
                instance.login.complete("code", state, PAGE, world.soon())
    world.fyers.gives["code"] = token(ist(9))
    assert by_link(world, other).state is LoginState.AUTHENTICATED


def test_a_login_by_hand_ends_them_as_well_and_a_refused_one_does_not(world: World, one: Instance) -> None:
    state = state_of(one.begin(world))
    world.fyers.gives["code"] = of_another(world)
    with pytest.raises(OtherAccount):
        by_hand(world, one)
    world.fyers.gives["code"] = token(ist(9))
    assert one.login.complete("code", state, PAGE, world.soon()).state is LoginState.AUTHENTICATED

    state = state_of(one.begin(world))
    world.fyers.gives["code"] = token(ist(9))
    by_hand(world, one)
    with pytest.raises(LoginRefused, match="still open"):
        one.login.complete("code", state, PAGE, world.soon())


def test_a_link_ended_elsewhere_is_found_out_though_its_key_was_read_a_moment_ago(
    world: World, one: Instance, other: Instance
) -> None:
    state = state_of(one.begin(world))  # now this instance knows the key
    world.fyers.gives["code"] = token(ist(9))
    by_hand(world, other)

    with pytest.raises(LoginRefused, match="ended by a later login"):
        one.login.complete("code", state, PAGE, world.soon())


def test_a_link_that_is_made_while_a_login_ends_all_others_is_not_left_open(
    world: World, one: Instance, other: Instance
) -> None:
    """The rival asks for its link inside the login's step; whichever key it got, its link is ended or new."""
    links = []
    renew = world.store.file.new_link_key

    def meanwhile(deadline: Deadline) -> str:
        links.append(state_of(other.begin(world)))
        return renew(deadline)

    world.store.file.new_link_key = meanwhile  # type: ignore[method-assign]
    world.fyers.gives["code"] = token(ist(9))
    by_hand(world, one)

    with pytest.raises(LoginRefused, match=r"still open|ended by a later login"):
        other.login.complete("code", links[0], PAGE, world.soon())


def test_the_app_s_secret_is_not_enough_to_make_a_link(world: World, one: Instance) -> None:
    """The key is random and kept beside the token: two services with the same app and secret know different ones."""
    key = world.store.file.link_key(world.soon())
    state = state_of(one.begin(world))
    world.store.path.with_name("tokens.json.links").unlink()

    assert world.store.file.link_key(world.soon()) != key
    world.clock.pass_by(1)
    with pytest.raises(LoginRefused, match="still open"):
        one.login.complete("code", state, PAGE, world.soon())


def test_without_the_key_no_link_is_made_or_taken_and_trading_goes_on(
    world: World, one: Instance, other: Instance
) -> None:
    today = world.put(token(ist(9)))
    state = state_of(one.begin(world))
    world.alert(one)
    world.store.is_down = True

    with pytest.raises(NotNow, match="login links can neither be made nor checked"):
        other.begin(world)
    with pytest.raises(NotNow, match="login links can neither be made nor checked"):
        other.login.complete("code", state, PAGE, world.soon())
    assert world.alert(one) == today


def test_a_missing_login_is_told_without_a_link_where_none_can_be_made(world: World, one: Instance) -> None:
    world.store.link_key = lambda deadline: (_ for _ in ()).throw(NotNow(Reason.NEEDS_LOGIN, "the disk is gone"))  # type: ignore[method-assign]

    world.alert(one)

    (notice,) = world.phone.of("login-needed")
    assert "ask for a link (GET /auth-url); this notice has none" in notice.text


def test_made_up_states_cost_the_store_no_reading_each_and_hold_one_thread_at_most(world: World, one: Instance) -> None:
    reads = []
    link_key = world.store.link_key

    def counted(deadline: Deadline) -> str:
        reads.append(1)
        return link_key(deadline)

    world.store.link_key = counted  # type: ignore[method-assign]
    forged = f"{'0' * 32}.9999999999.{'0' * 64}"
    for _ in range(100):
        with pytest.raises(LoginRefused):
            one.links.use(forged, world.soon())
    assert len(reads) == 1

    world.clock.pass_by(1)
    tried = []

    def held(deadline: Deadline) -> str:
        with pytest.raises(NotNow):
            one.links.use(forged, world.soon())  # another thread's, while this reading is under way
        tried.append(1)
        return link_key(deadline)

    world.store.link_key = held  # type: ignore[method-assign]
    with pytest.raises(LoginRefused):
        one.links.use(forged, world.soon())
    assert tried == [1]
