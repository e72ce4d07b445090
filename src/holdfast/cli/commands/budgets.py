"""`budget ...`."""

from __future__ import annotations

from typing import Annotated, TypeAlias
from uuid import UUID

import typer

from holdfast.cli.options import DatabaseUrl, DataDir, Json

_budget = typer.Typer(no_args_is_help=True, help="Say what may be spent, and see what is.")

_Budget: TypeAlias = Annotated[
    str, typer.Argument(metavar="BUDGET", help="Its id, or what it is called: tenant/day/usd, user:Ann/month/tokens.")
]
_Limit: TypeAlias = Annotated[int, typer.Option("--limit", min=1, max=200)]
_After: TypeAlias = Annotated[str | None, typer.Option("--after", help="`next` of the page before.")]


def add_to(program: typer.Typer) -> None:
    """Add these commands."""
    program.add_typer(_budget, name="budget")


@_budget.command("set")
def set_(
    scope: Annotated[
        str,
        typer.Argument(
            metavar="SCOPE", help="tenant, or user:NAME, session:ID, task:, feature:, model:NAME; * is each by itself."
        ),
    ],
    allowance: Annotated[
        str, typer.Argument(metavar="ALLOWANCE", help="20usd/day, 5000000tokens/month, 0.50usd/run, 100requests/hour.")
    ],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Say what may be spent from now on. The same scope, unit and window again: it is changed."""
    from holdfast.cli.budgets.acting import set_budget as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), scope, allowance, as_json=json)


@_budget.command()
def ls(
    ended: Annotated[bool, typer.Option("--ended", help="Those that have ended too.")] = False,
    limit: _Limit = 50,
    after: _After = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """List budgets, with what is spent, held and left of each now."""
    from holdfast.cli.budgets.showing import list_budgets as act
    from holdfast.cli.settings import load_settings

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    act(settings, ended=ended, limit=limit, after=after, as_json=json)


@_budget.command()
def show(
    budget: _Budget,
    owner: Annotated[str | None, typer.Option("--owner", help="Only of this one's windows.")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Show a budget's windows, who holds what of it, what exceeded its reservation, and its alerts."""
    from holdfast.cli.budgets.showing import show_budget as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), budget, owner=owner, as_json=json)


@_budget.command("raise")
def raise_(
    budget: _Budget,
    more: Annotated[str, typer.Argument(metavar="MORE", help="How much more, in its unit: 5, 0.50usd, 1000tokens.")],
    owner: Annotated[str, typer.Option("--owner", help="Whose, where it is for each by itself.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why; the audit log keeps it.")] = "raised by hand",
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Let more be spent in the window that is now, and in no other. Runs that wait for it go on."""
    from holdfast.cli.budgets.acting import raise_budget as act
    from holdfast.cli.settings import load_settings

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    act(settings, budget, more, owner=owner, reason=reason, as_json=json)


@_budget.command()
def rm(budget: _Budget, data_dir: DataDir = None, database_url: DatabaseUrl = None, json: Json = False) -> None:
    """End a budget: it binds nothing from now on."""
    from holdfast.cli.budgets.acting import end_budget as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), budget, as_json=json)


@_budget.command()
def reconcile(
    run: Annotated[UUID | None, typer.Argument(metavar="[RUN]", help="Settle this run's reservation.")] = None,
    step: Annotated[str | None, typer.Argument(metavar="[STEP]")] = None,
    attempt: Annotated[int | None, typer.Argument(metavar="[ATTEMPT]", min=0)] = None,
    usd: Annotated[str | None, typer.Option("--usd", help="The dollars that it did cost.")] = None,
    tokens: Annotated[str | None, typer.Option("--tokens", help="The tokens that it did use.")] = None,
    requests: Annotated[str | None, typer.Option("--requests", help="The requests that were made.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="How you know; the audit log keeps it.")] = None,
    limit: _Limit = 50,
    after: _After = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """List what was settled at its bound or is held by no run at work, and check what is held. Or settle one."""
    from holdfast.cli.budgets import reconciling as act
    from holdfast.cli.settings import load_settings

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    if run is None:
        raise typer.Exit(act.reconcile(settings, limit=limit, after=after, as_json=json))
    if step is None or attempt is None:
        raise typer.BadParameter(
            "Give all three, as `holdfast budget reconcile` lists them.", param_hint="RUN STEP ATTEMPT"
        )
    if reason is None:
        raise typer.BadParameter("Say how you know.", param_hint="--reason")
    act.settle(settings, run, step, attempt, usd=usd, tokens=tokens, requests=requests, reason=reason, as_json=json)


@_budget.command()
def alerts(
    limit: _Limit = 50,
    after: _After = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """List when budgets were half, four fifths and all spent, or would be before their end."""
    from holdfast.cli.budgets.showing import list_alerts as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), limit=limit, after=after, as_json=json)


@_budget.command()
def zone(
    zone: Annotated[str | None, typer.Argument(metavar="[ZONE]", help="As Europe/Berlin.", show_default=False)] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Say, or set, in which time zone the tenant's days begin."""
    from holdfast.cli.budgets.acting import time_zone as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), zone, as_json=json)
