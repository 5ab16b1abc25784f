"""A JSON decoder that takes nothing for what it is not.

Python's own takes the last of two equal keys, NaN, and 1e999 as infinity. What becomes of these differs by where the
text comes from, so the caller says it.
"""

import json
from collections.abc import Callable
from typing import Any


def strict_decoder(
    *,
    fraction: Callable[[str], object],
    no_number: Callable[[str], object],
    twice: Callable[[str], object],
    whole: Callable[[str], object] = int,
) -> json.JSONDecoder:
    """`whole` and `fraction` make a number of its text; each of the four may raise ValueError instead.

    `no_number` gives the value of NaN, Infinity and -Infinity; `twice` that of a key that an object has again.
    """

    def made(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        document = dict(pairs)
        if len(document) == len(pairs):
            return document
        document.clear()
        for name, value in pairs:
            document[name] = twice(name) if name in document else value
        return document

    return json.JSONDecoder(parse_int=whole, parse_float=fraction, parse_constant=no_number, object_pairs_hook=made)
