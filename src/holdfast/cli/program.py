"""The tree of commands. Nothing here, or imported from here, is slow to import."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast.cli.commands import approvals, installation, project, running, runs, serving

_ORDER = (project, serving, running, runs, approvals, installation)

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
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error arose.")] = False,
) -> None:
    """Take the options that come before every command; `entry.py` reads them."""


for _module in _ORDER:
    _module.add_to(program)
