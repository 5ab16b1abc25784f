"""Files that only the gateway's own user may read: folders are made 0700 and files 0600, whatever the umask is."""

import contextlib
import logging
import os
from pathlib import Path

log = logging.getLogger("gateway.files")

_OTHERS = 0o077


def make_folder(path: Path) -> None:
    """Makes a missing folder. An existing one keeps its mode, since it may hold other files. Raises OSError."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def make_file(path: Path) -> None:
    """Makes a missing file, empty, and closes an existing one to other users. Raises OSError.

    An existing file is not opened: closing it again would drop the locks that SQLite holds on it in this process.
    """
    make_folder(path.parent)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    close_to_others(path)


def replace_file(path: Path, content: bytes) -> None:
    """Readers see the whole file or the one before it, after a power cut too. One writer at a time. Raises OSError."""
    new = path.with_name(f"{path.name}.new")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def close_to_others(path: Path) -> None:
    """Takes the rights of other users on a file away. Does nothing where there is no file."""
    try:
        mode = path.stat().st_mode & 0o777
        if mode & _OTHERS:
            path.chmod(mode & ~_OTHERS)  # a read-only file stays read-only: its owner decides that
            log.warning("other users could open %s; its mode is %o now", path, mode & ~_OTHERS)
    except FileNotFoundError:
        return
    except OSError as problem:
        log.warning("others can read %s, and that cannot be changed: %s", path, problem.strerror)
