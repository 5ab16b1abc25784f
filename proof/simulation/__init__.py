"""The production flow in a world of its own: each seed is one history, and replays it exactly."""

from proof.simulation.run import MEMORY, SQLITE, memory_disk, play, quiet, run
from proof.simulation.script import Play, Shot, Story, a_shot, one_process_only, simulate

__all__ = [
    "MEMORY",
    "SQLITE",
    "Play",
    "Shot",
    "Story",
    "a_shot",
    "memory_disk",
    "one_process_only",
    "play",
    "quiet",
    "run",
    "simulate",
]
