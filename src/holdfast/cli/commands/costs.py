"""`cost`."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast.cli.options import DatabaseUrl, DataDir, Json


def add_to(program: typer.Typer) -> None:
    """Add the command."""
    program.command(name="cost")(cost)


def cost(
    by: Annotated[
        str, typer.Option("--by", help="What to tell apart: day, feature, model, tool, task, user, session, run.")
    ] = "model",
    since: Annotated[str, typer.Option("--since", help="The first day, as 2026-11-01, or as 7d.")] = "30d",
    until: Annotated[str | None, typer.Option("--until", help="The last day. Default: today. Days are in UTC.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Answer with CSV, for spreadsheets.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Instead: compare the ledger of these days with the journals.")
    ] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """What runs cost, by model, feature, user, day and the rest."""
    if csv and (json or check):
        raise typer.BadParameter("Give it without --json and --check.", param_hint="--csv")
    from holdfast.cli import costs as act
    from holdfast.cli.settings import load_settings

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    if check:
        raise typer.Exit(act.check(settings, since=since, until=until, as_json=json))
    dimensions = [name.strip() for name in by.split(",") if name.strip()]
    act.show(settings, by=dimensions, since=since, until=until, form="csv" if csv else "json" if json else "table")
