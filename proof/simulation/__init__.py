"""The production flow in a world of its own: each seed is one history, and replays it exactly."""

from proof.simulation.run import MEMORY, SQLITE, play, quiet, run
from proof.simulation.script import Play, simulate

__all__ = ["MEMORY", "SQLITE", "Play", "play", "quiet", "run", "simulate"]
