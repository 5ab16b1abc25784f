"""Commands set up logging for a process of their own; the tests that run them share one."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root, others = logging.getLogger(), [logging.getLogger(name) for name in ("gateway", "urllib3")]
    handlers, levels = root.handlers[:], [one.level for one in (root, *others)]
    yield
    root.handlers[:] = handlers
    for one, level in zip((root, *others), levels, strict=True):
        one.setLevel(level)
