"""`run`: one run, watched from here. `tasks`: what can be run."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from holdfast.cli.options import DatabaseUrl, DataDir, Json


def add_to(program: typer.Typer) -> None:
    """Add this command."""
    program.command()(run)
    program.command()(tasks)


def tasks(
    app: Annotated[str, typer.Argument(metavar="APP", help="`module:attribute` or `path/to/file.py:attribute`.")],
    task: Annotated[str | None, typer.Argument(metavar="TASK", show_default=False)] = None,
    json: Json = False,
) -> None:
    """Show the tasks of an app and their boundaries: who may start them, what they may do, where they turn."""
    from holdfast.cli.run.boundary import show_tasks as act

    act(app, task, as_json=json)


def run(
    app: Annotated[str, typer.Argument(metavar="APP", help="`module:attribute` or `path/to/file.py:attribute`.")],
    task: Annotated[str | None, typer.Argument(metavar="TASK", show_default=False)] = None,
    input: Annotated[  # noqa: A002 - the word users would choose
        str | None,
        typer.Argument(
            metavar="INPUT",
            help="Text, or JSON where the task's input is not text; @file reads a file, - reads standard input.",
            show_default=False,
        ),
    ] = None,
    session: Annotated[
        UUID | None, typer.Option("--session", help="The conversation to go on with, or a new id.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="Idempotency key: asked again, the first run is shown.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="RUN", help="Go on with this run instead of starting one.")
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option("--limit", metavar="NAME=NUMBER", help="The most it may do, as steps=20; may be repeated."),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Queue the run, print its id, leave it to workers.")] = False,
    ask: Annotated[
        bool | None,
        typer.Option("--ask/--no-ask", help="Ask here when a tool needs approval. Default: on a terminal."),
    ] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Run a task now, in this process, and show it as it goes. Ends with 7 where it waits for a person."""
    from holdfast.cli.run.command import Request
    from holdfast.cli.run.command import run as act
    from holdfast.cli.settings import load_settings

    request = Request(app=app, task=task, input=input, session=session, key=key, resume=resume, limits=limit or [])
    settings = load_settings(data_dir=data_dir, database_url=database_url)
    raise typer.Exit(act(settings, request, detach=detach, ask=ask, as_json=json))
