"""Bodies that are made to cost time, of every shape, and none of them with the right secret.

`python -m proof.costly` prints what each costs: milliseconds of processor time for one request, the least of several.
This file can be laid into an older checkout to measure that one.
"""

import math
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from werkzeug.test import EnvironBuilder

from proof.gateway import Gateway, a_gateway, captured_log

SIZE = 65_536  # bytes: all that a body may have
MOST = 0.010  # seconds of processor time for any of them
TIMES = 5

Shape = Callable[[int], bytes]


def filled(opening: str, unit: str, closing: str = "") -> Shape:
    """The unit repeated up to the size; `#` in it becomes a running number, so that no two are the same."""

    def body(size: int) -> bytes:
        head, tail = opening.encode(), closing.encode()
        if "#" not in unit:
            times = (size - len(head) - len(tail)) // len(unit.encode())
            return head + unit.encode() * times + tail
        parts, left, number = [], size - len(head) - len(tail), 0
        while left > 0:
            parts.append(unit.replace("#", str(number)).encode())
            left -= len(parts[-1])
            number += 1
        return head + b"".join(parts[:-1]) + tail

    return body


SHAPES: dict[str, Shape] = {
    # JSON, and no alert
    "one name again and again": filled('{"a":0', ',"":0', "}"),
    "token again and again": filled('{"token":"guess-number-0000"', ',"token":"guess-number-0000"', "}"),
    "token in other values": filled('{"token":"x"', ',"token":"g#"', "}"),
    "each name twice": filled('{"a":0', ',"#":0,"#":0', "}"),
    "many names": filled('{"a":0', ',"#":0', "}"),
    "small objects": filled('{"a":[0', ",{}", "]}"),
    "objects with a name each": filled('{"a":[0', ',{"":0}', "]}"),
    "objects with a name twice": filled('{"a":[0', ',{"":0,"":0}', "]}"),
    "small lists": filled('{"a":[0', ",[]", "]}"),
    "digits": filled('{"a":[0', ",0", "]}"),
    "fractions": filled('{"a":[0', ",0e9", "]}"),
    "no numbers": filled('{"a":[0', ",NaN", "]}"),
    "infinities": filled('{"a":[0', ",-Infinity", "]}"),
    "a number without end": filled('{"a":', "9", "}"),
    "a huge exponent": filled('{"a":1e', "9", "}"),
    "truths": filled('{"a":[0', ",true", "]}"),
    "empty texts": filled('{"a":[0', ',""', "]}"),
    "escapes": filled('{"a":"', "\\n", '"}'),
    "escaped letters": filled('{"a":"', "\\u0041", '"}'),
    "halves of characters": filled('{"token":"', "\\ud800", '"}'),
    "a long token": filled('{"token":"', "x", '"}'),
    "a long token of escapes": filled('{"token":"', "\\u00e9", '"}'),
    "a long name": filled('{"', "a", '":0}'),
    "blanks": filled('{"token"', " ", ':"guess-number-0000"}'),
    "lists in lists": filled('{"a":[0', ",[[[[[[[[[[[[[]]]]]]]]]]]]]", "]}"),
    "lists in many lists": filled('{"a":[0', "," + "[" * 800 + "]" * 800, "]}"),
    "objects in many objects": filled('{"a":[0', "," + '{"":' * 300 + "0" + "}" * 300, "]}"),
    # not JSON
    "nothing but blanks": filled("", " "),
    "lines": filled("", "\n"),
    "opened lists": filled("", "["),
    "opened objects": filled("", '{"a":'),
    "closed lists": filled("", "]"),
    "opened and closed": filled("", "[]"),
    "quotes": filled("", '"'),
    "curly quotes": filled('{"a":', "“"),
    "curly quotes in texts": filled('{"a":"“', "”", '"'),
    "backslashes": filled('{"a":"', "\\"),
    "names without values": filled('{"a":0', ',"a":'),
    "tokens without an end": filled('{"a":', '"token":"'),
    "tokens behind blanks": filled('{"a":', '"token" : '),
    "tokens in a broken body": filled("", '"token":"guess-number-0000",'),
    "names and blanks": filled('{"a":', '"a" '),
    "letters": filled("", "x"),
    "a long text without an end": filled('{"a":"', "x"),
    "many names and then broken": filled('{"a":0', ',"#":0'),
    "small objects and then broken": filled('{"a":[0', ",{}"),
    "no numbers and then broken": filled('{"a":[0', ",NaN"),
    "bytes that are no text": lambda size: b"\xff" * size,
    "a token among bytes that are no text": lambda size: b'"token":"' + b"\xff" * (size - 9),
    "halves of UTF-8": lambda size: b'{"a":"' + b"\xe2\x80" * ((size - 6) // 2),
    "zeros": lambda size: b"\0" * size,
}

COSTLIEST = ("one name again and again", "objects with a name each", "digits", "small objects and then broken")


class Scales:
    """Weighs bodies on a gateway in this process: seconds of this thread's processor time for one request."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._app: Any = gateway.new_app()
        self.weigh(b"{}")  # the first request pays for what is done once

    def weigh(self, body: bytes) -> tuple[float, int]:
        """From the first byte read to the last one written and what follows it; and the answer's status.

        The clock is moved past the minute in which refused bodies count: none is refused for the ones before it.
        """
        self._gateway.clock.move(61.0)
        said: list[str] = []
        request = EnvironBuilder("/webhook", method="POST", data=body)
        environ = request.get_environ()
        began = time.thread_time()
        answer = self._app(environ, lambda status, *_: said.append(status))
        b"".join(answer)
        answer.close()  # as every server does
        took = time.thread_time() - began
        request.close()
        return took, int(said[0][:3])

    def least(self, body: bytes, enough: float = 0.0, times: int = TIMES) -> float:
        """Of several, since others use the machine too; no more of them where one is `enough`."""
        least = math.inf
        for _ in range(times):
            least = min(least, self.weigh(body)[0])
            if least <= enough:
                break
        return least


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, a_gateway(Path(folder)) as gateway, captured_log():
        scales = Scales(gateway)
        for name, shape in SHAPES.items():
            body = shape(SIZE)
            sys.stdout.write(f"{scales.least(body) * 1000:9.2f} ms  {scales.weigh(body)[1]}  {name}\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
