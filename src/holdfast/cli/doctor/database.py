"""Checks of the database: that there is one, its schema, and that its logins cannot pass row level security."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from holdfast.cli.doctor.check import Check, Level
from holdfast.cli.doctor.reserve import check_reserve
from holdfast.domain.errors import OperatorError
from holdfast.embedded import EmbeddedUnavailable, acquire, status
from holdfast.embedded.binaries import find
from holdfast.settings import mask_url
from holdfast.store.migrate import schema_status
from holdfast.store.pool import Database, in_role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from holdfast.settings import Settings

_MAJOR_MIN = 15
_ROLES = ("worker", "api")


def check_database(settings: Settings) -> Iterator[Check]:
    """The database that the settings name."""
    if settings.database_url is not None:
        yield from _outside(settings, settings.database_url)
    else:
        yield from _embedded(settings)


def _outside(settings: Settings, url: str) -> Iterator[Check]:
    shown = mask_url(url)
    # A URL without a user logs in as the role of the process; one that has a user is asked as it is.
    as_role = url if "user" in conninfo_to_dict(url) else make_conninfo(url, user="holdfast_worker")
    try:
        with psycopg.connect(as_role, connect_timeout=10) as connection:
            number = connection.info.server_version
    except psycopg.Error as error:
        yield Check(
            "database",
            Level.PROBLEM,
            f"{shown} ({settings.origin('database_url')}) cannot be reached: {str(error).strip()}",
            "Check that it runs and that the URL names it. If its logins are missing, run `holdfast migrate`.",
        )
        return
    major = number // 10_000
    level = Level.OK if major >= _MAJOR_MIN else Level.PROBLEM
    yield Check(
        "database", level, f"PostgreSQL {major} at {shown}", "" if level is Level.OK else "15 or later is needed."
    )
    yield from _inside(as_role, lambda _: url)


def _embedded(settings: Settings) -> Iterator[Check]:
    directory = settings.data_dir / "pg"
    try:
        programs = find(directory / "data")
    except EmbeddedUnavailable as error:
        yield Check("postgresql", Level.PROBLEM, str(error))
        return
    yield Check("postgresql", Level.OK, f"{programs.version}, in {programs.bin_dir}")
    found = status(directory)
    for problem in found.problems:
        yield Check("data directory", Level.PROBLEM, problem)
    if found.problems:
        return
    if not directory.exists():
        yield Check("data directory", Level.OK, f"none yet; {directory} is made on first use")
        return
    yield Check("data directory", Level.OK, str(found.data_dir))
    yield from _running(directory, running=found.running, holders=found.holders)


def _running(directory: Path, *, running: bool, holders: tuple[int, ...] | None) -> Iterator[Check]:
    try:
        with acquire(directory) as server:
            used = f"used by {len(holders)} processes" if running and holders else "nobody uses it now; it starts"
            yield Check("server", Level.OK, f"PostgreSQL {server.version}; {used}")
            admin = server.url(user="admin", database="postgres")
            yield from _inside(admin, lambda role: server.url(user=f"holdfast_{role}", database="postgres"))
    except EmbeddedUnavailable as error:
        yield Check("server", Level.PROBLEM, str(error))


def _inside(url: str, url_of: Callable[[str], str]) -> Iterator[Check]:
    try:
        found = schema_status(url)
        found.require()
    except (OperatorError, psycopg.Error) as error:
        yield Check("schema", Level.PROBLEM, str(error))
        return
    yield Check("schema", Level.OK, f"version {found.current}")
    for role in _ROLES:
        yield _login(role, url_of(role))
    yield check_reserve(url, str(conninfo_to_dict(in_role(url_of("halt"), "api"))["user"]))


def _login(role: str, url: str) -> Check:
    async def log_in() -> None:
        async with Database.open(url, role=role):  # pyright: ignore[reportArgumentType]
            pass

    try:
        asyncio.run(log_in())
    except OperatorError as error:
        return Check(f"login of the {role}", Level.PROBLEM, str(error))
    return Check(f"login of the {role}", Level.OK, "row level security holds for it")
