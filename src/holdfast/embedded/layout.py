"""What lies in a data directory, and who may open it.

    holders.lock     every holder has it shared; the supervisor takes it exclusively to stop
    start.lock       whoever starts a supervisor has it exclusively
    supervisor.lock  the supervisor has it exclusively as long as it lives
    server.lock      all processes of the server have it: while it is held, one of them lives
    supervisor.alive a FIFO the supervisor keeps open: its readers see the end of file when it dies
    server.json      what runs: written by the supervisor, read by holders
    log/             postgresql.log (and .1, the previous one), supervisor.log
    data/            PostgreSQL's own directory
    run/             the Unix socket, unless its path would be too long (sockets.py)

The operator decides about sharing with other OS users by the mode of the directory: when it gives
the group (or others) all of rwx, so do the files; otherwise they are the owner's alone.
"""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from .errors import OUTSIDE, DirectoryNotUsable


class Layout(NamedTuple):
    """The paths of one data directory (absolute, symlinks resolved)."""

    root: Path
    holders_lock: Path
    start_lock: Path
    supervisor_lock: Path
    server_lock: Path
    alive_fifo: Path
    state: Path
    password: Path
    log: Path
    supervisor_log: Path
    pgdata: Path


def layout_of(data_dir: Path) -> Layout:
    """The layout of `data_dir`; touches nothing."""
    root = Path(os.path.realpath(data_dir))
    return Layout(
        root=root,
        holders_lock=root / "holders.lock",
        start_lock=root / "start.lock",
        supervisor_lock=root / "supervisor.lock",
        server_lock=root / "server.lock",
        alive_fifo=root / "supervisor.alive",
        state=root / "server.json",
        password=root / "admin.password",
        log=root / "log" / "postgresql.log",
        supervisor_log=root / "log" / "supervisor.log",
        pgdata=root / "data",
    )


def share_bits(root: Path) -> int:
    """The permission bits beyond the owner's that the operator opened: 0, 0o070, 0o007 or 0o077."""
    mode = root.stat().st_mode
    return sum(bits for bits in (0o070, 0o007) if mode & bits == bits)


def make_directory(path: Path, owner: tuple[int, int] | None) -> None:
    """Make `path` (0700) and missing parents (0755, by umask); root gives them to `owner`.

    Raises DirectoryNotUsable.
    """
    missing: list[Path] = []
    at = path
    try:
        while not at.exists():
            missing.append(at)
            at = at.parent
        for new in reversed(missing):
            new.mkdir(mode=0o700 if new == path else 0o777, exist_ok=True)
            if owner and os.geteuid() == 0:
                os.chown(new, *owner, follow_symlinks=False)
    except OSError as error:
        raise unusable(path, error) from error
    if not path.is_dir():
        raise DirectoryNotUsable(f"{path} is not a directory. Name another data directory, {OUTSIDE}.")


def open_shared(layout: Layout, path: Path, flags: int = os.O_RDWR) -> int:
    """Open (make) a file below the data directory with the modes of its sharing.

    Raises DirectoryNotUsable when this user may not.
    """
    try:
        return _open_shared(layout, path, flags)
    except OSError as error:
        raise unusable(layout.root, error) from error


def _open_shared(layout: Layout, path: Path, flags: int) -> int:
    fd = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    share(layout, fd)
    return fd


def share(layout: Layout, fd: int) -> None:
    """Give an open file the owner (when we are root), group and modes of the data directory."""
    at, root = os.fstat(fd), layout.root.stat()
    # One link only: as root, never give away a file that someone else linked here.
    if os.geteuid() == 0 and at.st_uid == 0 and root.st_uid != 0 and at.st_nlink == 1:
        os.fchown(fd, root.st_uid, root.st_gid)
    wanted = 0o600 | (share_bits(layout.root) & 0o066)
    if at.st_mode & 0o777 == wanted or os.geteuid() not in (0, at.st_uid):
        return
    if wanted & 0o060 and os.fstat(fd).st_gid != root.st_gid:
        os.fchown(fd, -1, root.st_gid)
    os.fchmod(fd, wanted)


def read_state(layout: Layout) -> dict[str, Any] | None:
    """What the supervisor last published; None when there is nothing to read."""
    try:
        return json.loads(layout.state.read_text())
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise unusable(layout.root, error) from error
    except ValueError:
        return None


def write_state(layout: Layout, state: dict[str, Any]) -> None:
    """Publish `state`, whole or not at all."""
    temporary = layout.root / f"server.json.{os.getpid()}"
    fd = open_shared(layout, temporary, os.O_WRONLY | os.O_TRUNC)
    try:
        with os.fdopen(fd, "w") as file:
            json.dump(state, file)
        temporary.replace(layout.state)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def unusable(root: Path, error: OSError) -> DirectoryNotUsable:
    """Translate an OS error about the data directory."""
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DirectoryNotUsable(f"The disk of {root} is full ({error}). Free some space there, {OUTSIDE}.")
    if error.errno == errno.EROFS:
        return DirectoryNotUsable(f"{root} is on a read-only disk. Name another data directory, {OUTSIDE}.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return DirectoryNotUsable(_not_permitted(root, error))
    return DirectoryNotUsable(f"{root} cannot be used: {error}. Name another data directory, {OUTSIDE}.")


def _not_permitted(root: Path, error: OSError) -> str:
    from .accounts import name_of

    try:
        owner = f"It belongs to {name_of(root.stat().st_uid)}. "
    except OSError:
        owner = ""
    return (
        f"{name_of(os.geteuid())} may not use {root} ({error}). {owner}"
        f"To share it with a group: chgrp GROUP {root} && chmod g+rwx {root}, then start the server once "
        f"as its owner; or name another data directory, {OUTSIDE}."
    )
