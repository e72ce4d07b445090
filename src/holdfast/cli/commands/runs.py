"""`runs ls | show | tail | cancel | message`."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from holdfast.cli.options import DatabaseUrl, DataDir, Json, RunRef

_runs = typer.Typer(help="See runs, follow them, stop them, talk to them.", no_args_is_help=True)


def add_to(program: typer.Typer) -> None:
    """Add these commands."""
    program.add_typer(_runs, name="runs")


@_runs.command()
def ls(
    task: Annotated[str | None, typer.Option("--task", help="Only runs of this task.")] = None,
    state: Annotated[
        str | None,
        typer.Option("--state", help="Only these: queued, running, parked, succeeded, failed, cancelled."),
    ] = None,
    session: Annotated[UUID | None, typer.Option("--session", help="Only runs of this conversation.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200)] = 20,
    after: Annotated[str | None, typer.Option("--after", help="`next` of the page before.")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """List runs, newest first."""
    from holdfast.cli.runs.listing import list_runs as act
    from holdfast.cli.settings import load_settings

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    act(settings, task=task, state=state, session=session, limit=limit, cursor=after, as_json=json)


@_runs.command()
def show(
    run: RunRef,
    full: Annotated[bool, typer.Option("--full", help="Show content whole.")] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Tell a run's story: every step, how long it took, its tokens, and what it waited for."""
    from holdfast.cli.runs.telling import show_run as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), run, full=full, as_json=json)


@_runs.command()
def tail(
    run: RunRef,
    after: Annotated[str, typer.Option("--after", help="The id of the last item seen.")] = "",
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Follow a run to its end: events and live text. With --json, one object a line."""
    from holdfast.cli.runs.following import tail_run as act
    from holdfast.cli.settings import load_settings

    raise typer.Exit(act(load_settings(data_dir=data_dir, database_url=database_url), run, after=after, as_json=json))


@_runs.command()
def cancel(
    run: RunRef,
    reason: Annotated[str | None, typer.Option("--reason", help="Kept in the run's journal.")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Stop a run: it starts nothing new and ends as soon as what is under way has."""
    from holdfast.cli.runs.acting import cancel_run as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), run, reason=reason, as_json=json)


@_runs.command()
def message(
    run: RunRef,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to say; the agent sees it with its next request.")],
    key: Annotated[str | None, typer.Option("--key", help="Idempotency key.")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Say something to a run under way."""
    from holdfast.cli.runs.acting import send_message as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), run, text, key=key, as_json=json)
