"""The refusal of a new symbol master."""


class Refused(Exception):
    """The new master is refused and the last good one stays. The text is one sentence for the operator."""
