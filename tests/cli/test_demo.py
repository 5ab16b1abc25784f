"""`make demo`: what a newcomer runs first, as its own process."""

import subprocess
import sys


def test_the_demo_shows_every_answer_and_the_order_book_and_all_is_as_it_should_be() -> None:
    done = subprocess.run([sys.executable, "-m", "demo"], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
    for shown in ("ACCEPTED", "duplicate: nothing was sent again", "NO_SHORT_TO_COVER", "MALFORMED", "UNAUTHORIZED"):
        assert shown in done.stdout
    assert "all as it should be" in done.stdout
    assert "0 of 65" in done.stdout  # the legs of the entry, cancelled after the cover
