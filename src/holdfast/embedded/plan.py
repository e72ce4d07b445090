"""Everything the supervisor must know, decided beforehand by the process that starts it."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .accounts import Account, can_reach, server_account
from .binaries import find, reachable
from .errors import OUTSIDE, DirectoryNotUsable
from .layout import Layout
from .sockets import socket_directory

# A small machine's server: durable, quiet, without parts a journal does not use.
DEFAULT_SETTINGS: Mapping[str, str] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "128MB",
    "max_connections": "200",
    "max_wal_size": "1GB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "lc_messages": "C",
}
RESERVE: Mapping[str, str] = {"reserved_connections": "8"}
"""Connections that are kept free for halts when all others are taken. PostgreSQL 16 is the first that can."""
RESERVE_MAJOR_MIN = 16
# Ours alone: the lifetime, the socket and its safety hang on them.
RESERVED = {
    "data_directory",
    "hba_file",
    "listen_addresses",
    "port",
    "logging_collector",
    "external_pid_file",
}


class Options(NamedTuple):
    """What the caller may choose when its call is the one that starts the server."""

    settings: dict[str, str]
    bin_dir: str | None = None
    tcp_port: int | None = None


class Plan(NamedTuple):
    """One server to run. All of it travels as JSON to the supervisor."""

    root: str
    by_descriptor: bool
    bin_dir: str
    version: str
    uid: int
    gid: int
    socket_dir: str
    port: int
    options: Options

    @property
    def account(self) -> Account:
        """The OS user that runs the server."""
        return Account(self.uid, self.gid)

    @property
    def defaults(self) -> Mapping[str, str]:
        """The settings of a server of this version, where the caller chooses no others."""
        major = int(self.version.split(".")[0])
        return {**DEFAULT_SETTINGS, **RESERVE} if major >= RESERVE_MAJOR_MIN else DEFAULT_SETTINGS

    @property
    def tcp(self) -> bool:
        """Whether it also listens on the loopback."""
        return self.options.tcp_port is not None

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "Plan":
        """The plan that `to_json` made `raw` of."""
        options = Options(**raw["options"])
        return cls(options=options, **{name: value for name, value in raw.items() if name != "options"})

    def to_json(self) -> dict[str, Any]:
        """As JSON's types."""
        return {**self._asdict(), "options": self.options._asdict()}


def checked_settings(settings: Mapping[str, str] | None) -> dict[str, str]:
    """The caller's settings; ValueError for one that belongs to the embedded server itself."""
    for name in settings or {}:
        if name.lower() in RESERVED or name.lower().startswith("unix_socket"):
            raise ValueError(f"the embedded server sets {name!r} itself; leave it out of settings")
    return dict(settings or {})


def make_plan(layout: Layout, options: Options) -> Plan:
    """Find programs, user and places for the server. Raises EmbeddedUnavailable's subclasses."""
    account = server_account(layout.root, layout.pgdata)
    binaries = reachable(find(layout.pgdata, Path(options.bin_dir) if options.bin_dir else None), account)
    if options.tcp_port == 0:
        options = options._replace(tcp_port=_free_port())
    return Plan(
        root=os.fspath(layout.root),
        by_descriptor=_by_descriptor(layout, account),
        bin_dir=os.fspath(binaries.bin_dir),
        version=binaries.version,
        uid=account.uid,
        gid=account.gid,
        socket_dir=os.fspath(socket_directory(layout, account)),
        port=options.tcp_port or 5432,
        options=options,
    )


def _by_descriptor(layout: Layout, account: Account) -> bool:
    """Whether the server gets its data directory as an open descriptor instead of a path.

    A server that root runs as another user may be unable to pass through the parents (a project in
    /root, a 0700 temporary directory). A descriptor that root opened needs no parents.
    """
    if os.geteuid() != 0 or can_reach(account, layout.root):
        return False
    if sys.platform != "linux":
        raise DirectoryNotUsable(
            f"Root's PostgreSQL runs as another OS user, which cannot enter {layout.root}. "
            f"Run Holdfast as an ordinary user, name a data directory that others may enter, {OUTSIDE}."
        )
    return True


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
