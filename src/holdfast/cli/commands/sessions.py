"""`sessions ls | show | delete | invalidate | lift`."""

from __future__ import annotations

from typing import Annotated, TypeAlias
from uuid import UUID

import typer

from holdfast.cli.options import DatabaseUrl, DataDir, Json

_sessions = typer.Typer(
    help="See conversations, delete them, and withdraw what was said in them.", no_args_is_help=True
)

_Session: TypeAlias = Annotated[UUID, typer.Argument(metavar="SESSION", help="As `holdfast sessions ls` shows it.")]
_Reason: TypeAlias = Annotated[str, typer.Option("--reason", help="Why: told to whoever reads the session.")]


def add_to(program: typer.Typer) -> None:
    """Add these commands."""
    program.add_typer(_sessions, name="sessions")


@_sessions.command()
def ls(
    limit: Annotated[int, typer.Option("--limit", min=1, max=200)] = 50,
    after: Annotated[str | None, typer.Option("--after", help="`next` of the page before.")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """List sessions, newest first."""
    from holdfast.cli.sessions.showing import list_sessions as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), limit=limit, after=after, as_json=json)


@_sessions.command()
def show(
    session: _Session,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200, help="The most messages.")] = 50,
    after: Annotated[str | None, typer.Option("--after", help="`next` of the page before.")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Show a session's runs, and its messages with what is not given to the model any more."""
    from holdfast.cli.sessions.showing import show_session as act
    from holdfast.cli.settings import load_settings

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    act(settings, session, limit=limit, after=after, as_json=json)


@_sessions.command()
def delete(session: _Session, data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Stop a session's runs, and show and give nothing of it any more. It cannot be undone."""
    from holdfast.cli.sessions.acting import delete_session as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), session)


@_sessions.command()
def invalidate(
    session: _Session,
    reason: _Reason,
    message: Annotated[str | None, typer.Option("--message", help="The `ref` of a message, as --json shows.")] = None,
    run: Annotated[UUID | None, typer.Option("--run", help="The run whose messages are meant.")] = None,
    first: Annotated[int | None, typer.Option("--from", help="The place of the first.")] = None,
    last: Annotated[int | None, typer.Option("--to", help="The place of the last. Default: that of the first.")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Mark messages as no longer to be given to the model, by runs that begin from now on."""
    from holdfast.cli.sessions.acting import invalidate as act
    from holdfast.cli.settings import load_settings

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    act(settings, session, message=message, run=run, first=first, last=last, reason=reason, as_json=json)


@_sessions.command()
def lift(
    session: _Session,
    invalidation: Annotated[UUID, typer.Argument(metavar="ID", help="As `holdfast sessions show` shows it.")],
    reason: _Reason,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Let messages be given again that were marked."""
    from holdfast.cli.sessions.acting import lift as act
    from holdfast.cli.settings import load_settings

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    act(settings, session, invalidation, reason=reason, as_json=json)
