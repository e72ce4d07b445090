"""The tree of commands. Nothing here, or imported from here, is slow to import."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast.cli.commands import (
    approvals,
    budgets,
    costs,
    halts,
    identity,
    installation,
    policy,
    project,
    running,
    runs,
    serving,
    sessions,
)
from holdfast.cli.settings import Invoked, before_command, invoked
from holdfast.cli.told import told

_ORDER = (project, serving, running, runs, sessions, approvals, policy, halts, budgets, costs, identity, installation)

program = typer.Typer(
    help="Pydantic AI agents that survive: durable runs on PostgreSQL.",
    epilog="Exit codes are stable: see docs/cli.md.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@program.callback()
def _root(  # pyright: ignore[reportUnusedFunction]
    context: typer.Context,
    _debug: Annotated[bool, typer.Option("--debug", help="Show where an error arose.")] = False,
    tenant: Annotated[str | None, typer.Option("--tenant", help="The tenant to act in. Its audit log tells.")] = None,
    principal: Annotated[str | None, typer.Option("--principal", help="Who to act as there. Default: you.")] = None,
) -> None:
    """Take the options that come before every command. `entry.py` reads --debug."""
    before_command.update(tenant=tenant, principal=principal)
    invoked.set(Invoked(context.invoked_subcommand or ""))


for _module in _ORDER:
    _module.add_to(program)
told(program)
