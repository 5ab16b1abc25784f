"""Why a new symbol master was not taken."""


class Refused(Exception):
    """The new master is not taken and the last good one stays; the text is one sentence for the owner."""
