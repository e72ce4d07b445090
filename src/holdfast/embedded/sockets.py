"""Where the server's Unix socket lies.

In the data directory where possible. The kernel caps a socket's path near 100 bytes, libpq splits a
host at commas, and the server's OS user may be unable to pass through the parents: then in a short
directory that follows from the server's user and the data directory alone, so that every process,
and every later server, comes to the same path.
"""

import os
from pathlib import Path

from .accounts import Account, can_reach
from .errors import DirectoryNotUsable
from .layout import Layout, share_bits

SOCKET_PATH_MAX_BYTES = 100  # sun_path is 108 on Linux, 104 on macOS, with the terminating zero


def socket_directory(layout: Layout, account: Account) -> Path:
    """The directory for the server's socket; nothing is made yet."""
    near = layout.root / "run"
    path = os.fsencode(near / ".s.PGSQL.65535")
    if len(path) <= SOCKET_PATH_MAX_BYTES and b"," not in path and can_reach(account, layout.root):
        return near
    import hashlib

    at = layout.root.stat()
    key = f"{layout.root}\0{at.st_dev}\0{at.st_ino}"
    return Path(f"/tmp/holdfast-{account.uid}", hashlib.sha256(os.fsencode(key)).hexdigest()[:12])  # noqa: S108


def make_socket_directory(layout: Layout, directory: Path, account: Account) -> None:
    """Make the directory, closed to everybody the data directory is closed to.

    Whoever reaches the socket is the database's superuser: this directory is the lock on that door.
    """
    if directory.parent != layout.root:
        _make_owned(directory.parent, account, 0o711)
    _make_owned(directory, account, 0o700 | (share_bits(layout.root) & 0o055))
    if share_bits(layout.root) & 0o070:
        os.chown(directory, -1, layout.root.stat().st_gid)


def _make_owned(directory: Path, account: Account, mode: int) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
    at = directory.lstat()
    if at.st_uid == 0 and os.geteuid() == 0:
        os.chown(directory, account.uid, account.gid, follow_symlinks=False)
        at = directory.lstat()
    if directory.is_symlink() or at.st_uid != account.uid:
        raise DirectoryNotUsable(
            f"{directory}, where the server's socket belongs, was made by another user. Remove it and start again."
        )
    directory.chmod(mode)


def socket_path(directory: Path, port: int) -> Path:
    """The socket's file."""
    return directory / f".s.PGSQL.{port}"


def accepts(directory: Path, port: int) -> bool:
    """Whether a server listens on the socket.

    Raises PermissionError when this user may not reach it.
    """
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(os.fspath(socket_path(directory, port)))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except (BlockingIOError, TimeoutError):
            return True  # its queue is full: busy, not gone
    return True
