"""Which OS user runs the server: its programs refuse to run as root.

An ordinary user runs it as itself. Root runs it as the owner of the data, so that `sudo` in
somebody's project leaves them a server they can use; data in root's own directories belongs to the
system user `holdfast-pg`, made on first need.
"""

import os
import pwd
from pathlib import Path
from typing import NamedTuple

from .errors import OUTSIDE, DirectoryNotUsable

SERVICE_USER = "holdfast-pg"


class Account(NamedTuple):
    """An OS user, as numbers: what a process becomes."""

    uid: int
    gid: int


def name_of(uid: int) -> str:
    """The user's name, or its number when it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def server_account(root: Path, pgdata: Path) -> Account:
    """The OS user for the server on `pgdata` below `root` (neither need exist).

    Raises DirectoryNotUsable when the data belongs to a user this process cannot become.
    """
    me = os.geteuid()
    owner = _owner(pgdata) if pgdata.exists() else None
    if me != 0:
        if owner is not None and owner != me:
            raise DirectoryNotUsable(
                f"The data in {root} belongs to {name_of(owner)}, and only its owner can start PostgreSQL. "
                f"It is not running now: start it as {name_of(owner)} or as root first, {OUTSIDE}."
            )
        return Account(me, os.getegid())
    for uid in (owner, _owner(_nearest_existing(root))):
        if uid and _known(uid):
            return Account(uid, pwd.getpwuid(uid).pw_gid)
    if owner == 0:
        raise DirectoryNotUsable(
            f"The data in {root} belongs to root, and PostgreSQL refuses to run as root. "
            f"Give it to another user (chown -R {SERVICE_USER} {pgdata}), {OUTSIDE}."
        )
    return _service_account()


def supplementary_groups(account: Account) -> list[int]:
    """The groups of the user, as a login would have them."""
    if not _known(account.uid):
        return [account.gid]
    return os.getgrouplist(name_of(account.uid), account.gid)


def can_reach(account: Account, path: Path) -> bool:
    """Whether the user may pass through `path` and all its parents, judged by their modes."""
    groups = supplementary_groups(account)
    return all(_may_pass(account, groups, at.stat()) for at in (path, *path.parents))


def _may_pass(account: Account, groups: list[int], at: os.stat_result) -> bool:
    if at.st_uid == account.uid:
        return bool(at.st_mode & 0o100)
    return bool(at.st_mode & (0o010 if at.st_gid in groups else 0o001))


def _owner(path: Path) -> int:
    return path.stat().st_uid


def _nearest_existing(path: Path) -> Path:
    return next(at for at in (path, *path.parents) if at.exists())


def _known(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _service_account() -> Account:
    for make in (False, True):
        if make:
            _make_service_user()
        for name in (SERVICE_USER, "postgres") if make else (SERVICE_USER,):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return Account(entry.pw_uid, entry.pw_gid)
    raise DirectoryNotUsable(
        f"PostgreSQL refuses to run as root, and the OS user {SERVICE_USER} could not be made. Make it "
        f"(useradd --system --user-group {SERVICE_USER}), run Holdfast as an ordinary user, {OUTSIDE}."
    )


def _make_service_user() -> None:
    import subprocess

    # useradd knows most Linux systems, adduser is Alpine's. Two processes may race; the loser's error is
    # harmless.
    for command in (
        [
            "useradd",
            "--system",
            "--user-group",
            "--no-create-home",
            "--shell",
            "/usr/sbin/nologin",
            SERVICE_USER,
        ],
        ["adduser", "-S", "-D", "-H", SERVICE_USER],
    ):
        try:
            done = subprocess.run(command, check=False, capture_output=True)  # noqa: S603  (fixed arguments)
        except FileNotFoundError:
            continue
        if done.returncode == 0:
            return
