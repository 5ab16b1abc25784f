"""Attacks on the real server, beside alerts that have to be answered: covers, each within the time its sender has.

`python -m proof.processes.attack` prints the figures of each attack; with `slow_senders.py` and `proof/costly.py` this
file can be laid into an older checkout to measure that one.
"""

import argparse
import http.client
import itertools
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field

from proof.costly import COSTLIEST, SHAPES, SIZE
from proof.processes.lab import LedgerKind, a_lab, an_account
from proof.processes.sender import RESENDS, Text, an_alert, post
from proof.processes.server import a_server
from proof.processes.slow_senders import Held, silent_connections, slow_senders
from proof.result import Result, Seen
from tests.waiting import finish

ANSWER_BY = 2.5
CARRIED_OUT = (200, 202)  # on its way, where the ledger was too busy to write down that it is placed
COVERS, COVERS_OF_A_SLICE = 200, 40
COVERS_A_SECOND = 5
COSTLY_A_SECOND = 20
_LOTS_AT_ONCE = 20  # of an entry: below the freeze quantity
_PATIENCE = 10.0  # seconds for a cover: more than TradingView has, to see how late an answer would be
_AGAIN_AFTER = 1.0
_GIVES_UP = 3.0  # seconds of an attacker for one body
_SOURCES = 200  # addresses that an attacker has; this many are 127.0.1.1 and on
_SENT_AT_LEAST = 0.9  # of what an attack means to send, or it was none


@dataclass(slots=True)
class Tally:
    """What an attack did: how many bodies or connections it sent, how many it means to send a second, and answers."""

    a_second: float
    sent: int = 0
    answers: Counter[int | None] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    def wrong(self, name: str) -> str | None:
        least = self.a_second * self.seconds * _SENT_AT_LEAST
        if self.sent >= least:
            return None
        return f"{name}: {self.sent} sent in {self.seconds:.0f} s, and the attack is no less than {least:.0f}"


Attack = Callable[[int], AbstractContextManager[Tally | Held]]  # on a port, until it is left


@contextmanager
def costly_bodies(port: int) -> Iterator[Tally]:
    """So many a second, whatever comes back, from many addresses: each is judged for all that it costs."""
    tally, gone = Tally(COSTLY_A_SECOND), threading.Event()
    bodies = itertools.cycle([SHAPES[name](SIZE) for name in COSTLIEST])

    def send(number: int, body: bytes) -> None:
        tally.answers[_sent_from(f"127.0.1.{number % _SOURCES + 1}", port, body)] += 1

    def attack() -> None:
        with ThreadPoolExecutor(int(COSTLY_A_SECOND * _GIVES_UP) + 4) as pool:
            while not gone.wait(max(0.0, tally.began + tally.sent / COSTLY_A_SECOND - time.monotonic())):
                pool.submit(send, tally.sent, next(bodies))
                tally.sent += 1
            tally.seconds = time.monotonic() - tally.began

    attacking = threading.Thread(target=attack, name="the attack", daemon=True)
    attacking.start()
    try:
        yield tally
    finally:
        gone.set()
        finish(attacking)


def _sent_from(source: str, port: int, body: bytes) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_GIVES_UP, source_address=(source, 0))
    try:
        connection.request("POST", "/webhook", body)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


ATTACKS: dict[str, Attack] = {
    "costly bodies": costly_bodies,
    "slow senders": slow_senders,
    "silent connections": silent_connections,
}
TOGETHER = ["costly bodies", "slow senders"]


@dataclass(frozen=True, slots=True)
class Answered:
    """The last answer to an alert that is sent again after a 503, and the longest that one of them took."""

    status: int | None
    reason: str | None
    seconds: float
    deliveries: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """`covers`: the answers to the alerts; `bought`: how many the broker filled; `attacks`: what was done meanwhile."""

    covers: list[Answered]
    bought: int
    attacks: Mapping[str, Tally | Held]

    def wrong(self) -> tuple[str, ...]:
        late = [
            f"a cover was answered {cover.status} {cover.reason or ''} after {cover.seconds:.2f} s"
            for cover in self.covers
            if cover.status not in CARRIED_OUT or cover.seconds > ANSWER_BY
        ]
        if self.bought != len(self.covers):
            late.append(f"{self.bought} of {len(self.covers)} covers were bought at the broker")
        lame = [text for name, tally in self.attacks.items() if (text := tally.wrong(name)) is not None]
        return tuple(late[-20:] + lame)

    def figures(self) -> str:
        times = sorted(cover.seconds for cover in self.covers)
        answers = dict(Counter(cover.status for cover in self.covers))
        attacks = "; ".join(f"{tally.sent} {name}, {dict(tally.answers)}" for name, tally in self.attacks.items())
        again = sum(cover.deliveries - 1 for cover in self.covers)
        return (
            f"{len(times)} covers {answers}, {again} sent again, median {times[len(times) // 2]:.3f} s, "
            f"slowest {times[-1]:.3f} s; {attacks or 'no attack'}"
        )


def attacked(attacks: Mapping[str, Attack], covers: int = COVERS, kind: LedgerKind = LedgerKind.SQLITE) -> Outcome:
    """One instance as it is shipped, with a short of so many lots, each of which is covered by an alert of its own."""
    with a_lab(kind) as lab, an_account() as account:
        settings = lab.settings(account, lab.new_ledger(), WEBHOOK_MAX_QTY=str(_LOTS_AT_ONCE))
        with a_server(settings, lab.new_file("output"), workers=1, config="app.runtime.server") as server:
            for number in range(-(-covers // _LOTS_AT_ONCE)):
                entered = _deliver(server.port, an_alert(f"entry-{number}", lots=_LOTS_AT_ONCE))
                if entered.status != 200:
                    raise RuntimeError(f"an entry was answered {entered.status} {entered.reason}")
            with ExitStack() as raging, ThreadPoolExecutor(int(COVERS_A_SECOND * _PATIENCE)) as pool:
                tallies = {name: raging.enter_context(attack(server.port)) for name, attack in attacks.items()}
                sent = [
                    pool.submit(_deliver, server.port, an_alert(f"cover-{number}", action="BUY"))
                    for number in _paced(covers)
                ]
                answered = [each.result() for each in sent]
        bought = len({trade.order.id for trade in account.exchange.trades() if trade.order.side > 0})
    return Outcome(answered, bought, tallies)


def _paced(covers: int) -> Iterator[int]:
    began = time.monotonic()
    for number in range(covers):
        time.sleep(max(0.0, began + number / COVERS_A_SECOND - time.monotonic()))
        yield number


def _deliver(port: int, text: Text) -> Answered:
    """As TradingView does, which waits five seconds before it sends again."""
    longest = 0.0
    for delivery in range(1, 2 + RESENDS):
        began = time.monotonic()
        status, answer = post(port, text.body, _PATIENCE)
        longest = max(longest, time.monotonic() - began)
        if status != 503 or delivery > RESENDS:
            break
        time.sleep(_AGAIN_AFTER)
    return Answered(status, answer.get("reason"), longest, delivery)


def prove(attacks: Mapping[str, Attack], covers: int = COVERS) -> Result:
    """What was late on a busy machine is measured once more."""
    started = time.monotonic()
    outcome = attacked(attacks, covers)
    if outcome.wrong():
        outcome = attacked(attacks, covers)
    name = f"deadlines, {' and '.join(attacks)}"
    seen = (
        Seen("covers bought", outcome.bought, covers // 2),
        *(Seen(attack, tally.sent, 1) for attack, tally in outcome.attacks.items()),
    )
    return Result(name, outcome.figures(), "", outcome.wrong(), time.monotonic() - started, seen)


def every(covers: int = COVERS) -> Iterator[Result]:
    """Each attack by itself, and those two together that cost most."""
    for names in (*([name] for name in ATTACKS), TOGETHER):
        yield prove({name: ATTACKS[name] for name in names}, covers)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proof.processes.attack")
    parser.add_argument("--covers", type=int, default=COVERS)
    parser.add_argument("attack", nargs="*", choices=[*ATTACKS, []], help="one or several at once; default: each alone")
    wanted = parser.parse_args()
    for names in [wanted.attack] if wanted.attack else [[], *([name] for name in ATTACKS)]:
        outcome = attacked({name: ATTACKS[name] for name in names}, wanted.covers)
        sys.stdout.write("\n".join([outcome.figures(), *(f"    {text}" for text in outcome.wrong())]) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
