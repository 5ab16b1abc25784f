"""The scheduler's run is killed at every step of it, with something to do at each; the next runs finish the work.

Before it, in one ledger: an order in doubt that is in the book, one that is not, one whose request died before it
knew, an alert that could not be sent, and a leg that outlived its position.
"""

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from app.simulator import Fault, FaultKind, Simulator
from proof.history import Pause, seen_at
from proof.processes.doom import Step, steps_of
from proof.processes.evidence import history_of, wrong_in
from proof.processes.lab import SCHEDULER, Lab, LedgerKind, a_lab, an_account, an_office, utc_now
from proof.processes.nursery import Nursery
from proof.processes.sender import Sender, an_alert, post
from proof.result import Result, floors

SLACK = 0.5
FLOORS = {"kills": 0.7, "orders": 2, "fills": 2}  # of a step; of three orders that go out
AT_ONCE = 6
OPERATOR = "canary-operator-of-the-night"
_LATER = 70.0  # seconds: what is RECEIVED lapses then
_OTHER_STRIKE = 26100


class Housekeeping:
    def __init__(self, lab: Lab, nursery: Nursery) -> None:
        self._lab = lab
        self._nursery = nursery

    def steps(self) -> list[Step]:
        """Every step at which the run can die."""
        trace = self._lab.new_file("trace")
        self._run(None, trace)
        return steps_of(trace)

    def run(self, step: Step) -> tuple[Counter[str], tuple[str, ...]]:
        """What happened, a kill if the process died of it, and what was wrong in the end."""
        seen, found = self._run(step, None)
        return seen, tuple(f"reconcile, killed {step}: {text}" for text in found)

    def _run(self, step: Step | None, trace: Path | None) -> tuple[Counter[str], list[str]]:
        with ExitStack() as stack:
            account = stack.enter_context(an_account())
            settings = self._lab.settings(account, self._lab.new_ledger(), OPERATOR_TOKEN=OPERATOR)
            sender, outputs = Sender(proxied=False), [self._lab.new_file("output") for _ in range(3)]
            self._leave_work(account, settings, sender, outputs)
            with self._nursery.gateway(settings, output=outputs[2], step=step, trace=trace, ahead=_LATER) as doomed:
                post(doomed.port, b"", 20, "/tasks/reconcile", OPERATOR)
                died = doomed.died(0.05)
            killed_at = utc_now() + timedelta(seconds=_LATER)
            office = stack.enter_context(an_office(settings))
            office.minutes_pass(account, since=_LATER)
            history = history_of(account, office, sender.deliveries, outputs, reconciled=True, slack=SLACK)
            next_run = utc_now() + timedelta(seconds=_LATER + SCHEDULER[0])
            found = wrong_in(replace(history, pauses=[Pause(killed_at, next_run)]), account)
            return seen_at(account) + Counter(kills=died), found

    def _leave_work(
        self, account: Simulator, settings: dict[str, str], sender: Sender, outputs: Sequence[Path]
    ) -> None:
        with self._nursery.gateway(settings, output=outputs[0], step=Step("place", "after")) as dying:
            sender.deliver(an_alert("its request died"), lambda: dying.port)
        with self._nursery.gateway(settings, output=outputs[1]) as gateway:

            def deliver(name: str, *faults: tuple[str, Fault], strike: int = 26000) -> None:
                for endpoint, fault in faults:
                    account.fault(endpoint, fault)
                sender.deliver(an_alert(name, strikeprice=strike), lambda: gateway.port)
                account.clear_faults()

            deliver("closed by hand", strike=_OTHER_STRIKE)
            _close_by_hand(account)
            deliver("in doubt, in the book", ("place", Fault(FaultKind.DROP)))
            deliver("in doubt, not in the book", ("place", Fault(FaultKind.DROP, processed=False)))
            deliver("it could not be sent", ("quotes", Fault(FaultKind.EMPTY, None)))


def _close_by_hand(account: Simulator) -> None:
    """The owner closes the one position in the other strike in Fyers' own app; its legs stay."""
    position = next((one for one in account.exchange.positions() if one.instrument.strike == _OTHER_STRIKE), None)
    if position is None:
        return  # its order did not trade; the floors tell
    terms = {"type": 2, "side": 1, "productType": position.product, "validity": "DAY", "offlineOrder": False}
    nothing = {"limitPrice": 0, "stopPrice": 0, "disclosedQty": 0}
    account.exchange.place({"symbol": position.instrument.symbol, "qty": -position.net} | terms | nothing)


def prove(kind: LedgerKind, most: int | None = None, firestore: str | None = None) -> Result:
    """Every step, or `most` of them spread over the run."""
    started = time.monotonic()
    with a_lab(kind, firestore) as lab, Nursery() as nursery:
        housekeeping = Housekeeping(lab, nursery)
        steps = housekeeping.steps()
        chosen = steps if most is None else steps[:: -(-len(steps) // most)]
        with ThreadPoolExecutor(AT_ONCE) as at_once:
            ended = list(at_once.map(housekeeping.run, chosen))
    seen = floors(sum((happened for happened, _ in ended), Counter[str]()), FLOORS, len(ended))
    wrong = tuple(text for _, found in ended for text in found)
    return Result(f"reconcile killed, {kind}", f"{len(ended)} steps", "", wrong, time.monotonic() - started, seen)
