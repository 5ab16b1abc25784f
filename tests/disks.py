"""What a disk can do to a ledger's file: be full, take no writing, give back other bytes than it was given."""

import ctypes
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PAGE = 4096
_CAP_DAC_OVERRIDE = 1  # capabilities(7)
_CAPABILITY_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@contextmanager
def no_room_beyond(size: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes: the system refuses the write, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    """The file is read-only, for root as well: this thread gives up root's right to write it."""
    mode = path.stat().st_mode
    path.chmod(0o444)
    try:
        with _as_any_user():
            yield
    finally:
        path.chmod(mode)


@contextmanager
def _as_any_user() -> Iterator[None]:
    if os.geteuid() != 0:
        yield
        return
    libc, header, sets = ctypes.CDLL(None, use_errno=True), _Header(_CAPABILITY_VERSION_3, 0), (_Sets * 2)()

    def call(name: str) -> None:
        if getattr(libc, name)(ctypes.byref(header), sets) != 0:
            raise OSError(ctypes.get_errno(), name)

    call("capget")
    had = sets[0].effective
    sets[0].effective = had & ~(1 << _CAP_DAC_OVERRIDE)
    call("capset")
    try:
        yield
    finally:
        sets[0].effective = had
        call("capset")


def damage(path: Path) -> None:
    """Every page but the first, which says what tables there are, comes back as something else."""
    whole = path.read_bytes()
    path.write_bytes(whole[:_PAGE] + b"\xa5" * (len(whole) - _PAGE))
