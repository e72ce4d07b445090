"""`halt`, `halt lift | ls | show`."""

from __future__ import annotations

from typing import Annotated, TypeAlias
from uuid import UUID

import typer

from holdfast.cli.options import DatabaseUrl, DataDir, Json

_halt = typer.Typer(
    help="Stop runs, tasks, tools, models or everything, and let them go on.",
    invoke_without_command=True,
    subcommand_metavar="[lift|ls|show]",
)

_Halt: TypeAlias = Annotated[UUID, typer.Argument(metavar="ID", help="As `holdfast halt ls` shows it.")]


def add_to(program: typer.Typer) -> None:
    """Add these commands."""
    program.add_typer(_halt, name="halt")


@_halt.callback()
def halt(
    context: typer.Context,
    run: Annotated[UUID | None, typer.Option("--run", help="One run.")] = None,
    session: Annotated[UUID | None, typer.Option("--session", help="The runs of a session.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="The runs for a principal, by name or id.")] = None,
    task: Annotated[str | None, typer.Option("--task", help="The runs of a task.")] = None,
    tool: Annotated[str | None, typer.Option("--tool", help="Calls of a tool; runs that do not call it go on.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Requests to a model; the same.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="All of a tenant, by name.")] = None,
    everything: Annotated[bool, typer.Option("--everything", help="All tenants.")] = False,
    reason: Annotated[str | None, typer.Option("--reason", help="Why: told to whoever sees it.")] = None,
    for_: Annotated[str | None, typer.Option("--for", help="End it by itself after so long: 90s, 30m, 2h, 1d.")] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Until every worker has stopped, but for what cannot be.")
    ] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Stop one of these: nothing new is begun, what is under way is cancelled or finishes."""
    if context.invoked_subcommand is not None:
        return
    named: dict[str, object] = {
        "run": run, "session": session, "user": user, "task": task, "tool": tool, "model": model, "tenant": tenant,
        "everything": everything or None,
    }  # fmt: skip
    given = [(scope, value) for scope, value in named.items() if value is not None]
    if len(given) != 1:
        raise typer.BadParameter("Name one of them.", param_hint="--run, --session, ... --everything")
    if reason is None:
        raise typer.BadParameter("Say why.", param_hint="--reason")
    from holdfast.cli.halts.acting import declare, seconds
    from holdfast.cli.settings import load_settings

    [(scope, value)] = given
    settings = load_settings(data_dir=data_dir, database_url=database_url)
    for_s = None if for_ is None else seconds(for_)
    key = "" if value is True else str(value)
    declare(settings, scope, key, reason=reason, for_s=for_s, wait=wait, as_json=json)


@_halt.command()
def lift(halt: _Halt, data_dir: DataDir = None, database_url: DatabaseUrl = None, json: Json = False) -> None:
    """Lift a halt: what it held back goes on where it stood."""
    from holdfast.cli.halts.acting import lift as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), halt, as_json=json)


@_halt.command()
def ls(
    all_: Annotated[bool, typer.Option("--all", help="Those that have ended too.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200)] = 50,
    after: Annotated[str | None, typer.Option("--after", help="`next` of the page before.")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """List halts in force, newest first."""
    from holdfast.cli.halts.showing import list_halts as act
    from holdfast.cli.settings import load_settings

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    act(settings, in_force=not all_, limit=limit, after=after, as_json=json)


@_halt.command()
def show(halt: _Halt, data_dir: DataDir = None, database_url: DatabaseUrl = None, json: Json = False) -> None:
    """Show when what a halt covers last began and ended, and what is still under way."""
    from holdfast.cli.halts.acting import show as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), halt, as_json=json)
