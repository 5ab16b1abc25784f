"""The production flow in a world of its own: each seed is one history, and replays it exactly."""

from proof.simulation.play import Play, simulate
from proof.simulation.run import MEMORY, SQLITE, memory_disk, one, play, quiet, run
from proof.simulation.story import Shot, Story, a_shot

__all__ = [
    "MEMORY",
    "SQLITE",
    "Play",
    "Shot",
    "Story",
    "a_shot",
    "memory_disk",
    "one",
    "play",
    "quiet",
    "run",
    "simulate",
]
