"""Properties are checked without a time limit on each example: the machine may be busy."""

from hypothesis import settings

from tests.examples import examples

settings.register_profile("unit", deadline=None, max_examples=examples(100))
settings.load_profile("unit")
