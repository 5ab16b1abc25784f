"""Bodies without the right secret: none costs much, each counts, over the count none is decoded."""

import tempfile
from pathlib import Path
from typing import Any

from werkzeug.test import EnvironBuilder

from app.web.intake import STRIKES_PER_MINUTE
from proof.costly import COSTLIEST, MOST, SHAPES, SIZE, Scales
from proof.gateway import SECRET, Gateway, a_gateway, captured_log

_TRIES = 10
_BROKEN = f'{{"token": "{SECRET}", "qty": }}'.encode()


def dear() -> str | None:
    """The first of the costliest shapes that costs too much."""
    with tempfile.TemporaryDirectory() as folder, a_gateway(Path(folder)) as gateway, captured_log():
        scales = Scales(gateway)
        for name in COSTLIEST:
            least = scales.least(SHAPES[name](SIZE), enough=MOST, times=_TRIES)
            if least > MOST:
                return f"{SIZE} bytes of {name} cost {least * 1000:.1f} ms"
    return None


def loose() -> str | None:
    """The first rule that does not hold."""
    with tempfile.TemporaryDirectory() as folder, a_gateway(Path(folder)) as gateway, captured_log():
        app = gateway.new_app()
        status, answer = _ask(app, _BROKEN)
        told = len(gateway.phone.received)
        answer.close()
        if status != 400 or told or len(gateway.phone.received) != 1:
            return f"a broken body was answered {status}; {told} notices went before the answer"
        for wrong in (b"{", b'{"token": "guess-number-0000"}'):
            if (found := _uncounted(gateway, app, wrong)) is not None:
                return found
    return None


def _uncounted(gateway: Gateway, app: Any, wrong: bytes) -> str | None:
    gateway.clock.move(61.0)
    said = [_said(app, wrong) for _ in range(STRIKES_PER_MINUTE)]
    costly = SHAPES["small objects and then broken"](SIZE)
    last = [_said(app, body) for body in (wrong, costly, _BROKEN)]
    if 429 in said or last != [429, 429, 400]:
        return f"{len(said)} wrong bodies were answered {set(said)}, two more and one with the secret {last}"
    return None


def _said(app: Any, body: bytes) -> int:
    status, answer = _ask(app, body)
    answer.close()
    return status


def _ask(app: Any, body: bytes) -> tuple[int, Any]:
    """Status, and the answer written but not closed."""
    said: list[str] = []
    request = EnvironBuilder("/webhook", method="POST", data=body)
    answer = app(request.get_environ(), lambda status, *_: said.append(status))
    b"".join(answer)
    return int(said[0][:3]), answer
