"""Properties are checked without a time limit on each example: the machine may be busy."""

from hypothesis import settings

settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
