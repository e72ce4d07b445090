"""File locks that death releases.

`flock` belongs to the open file, so a forked child would go on holding it after its parent died.
Descriptors are therefore close-on-exec, and closed in a child that forks without exec; closing a
copy does not release the parent's lock.
"""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Generator

_open: set[int] = set()


def _close_in_child() -> None:
    while _open:
        with contextlib.suppress(OSError):
            os.close(_open.pop())


os.register_at_fork(after_in_child=_close_in_child)


def try_lock(fd: int, *, exclusive: bool) -> bool:
    """Take the lock now or answer False."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def lock(fd: int, *, exclusive: bool, deadline_s: float) -> bool:
    """Take the lock, trying until `deadline_s` on the monotonic clock; False when it passed."""
    pause_s = 0.001
    while not try_lock(fd, exclusive=exclusive):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, 0.03)
    return True


def keep(fd: int) -> int:
    """Register a lock's descriptor so that forked children drop their copy."""
    _open.add(fd)
    return fd


def close(fd: int) -> None:
    """Release the lock by closing its descriptor."""
    _open.discard(fd)
    os.close(fd)


def held_exclusively(path: os.PathLike[str]) -> bool:
    """Whether some process holds the exclusive lock on `path`; False when there is no such file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(fd, exclusive=False)
    finally:
        os.close(fd)


def is_file_at(fd: int, path: os.PathLike[str]) -> bool:
    """Whether `path` still names the open file (the directory may have been deleted meanwhile)."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))  # noqa: PTH116  (pathlib costs imports here)
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def closing(fd: int) -> Generator[int]:
    """Close `fd`, and with it release its lock, at the end of the block."""
    keep(fd)
    try:
        yield fd
    finally:
        close(fd)
