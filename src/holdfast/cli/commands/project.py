"""`demo`, `init`: the way in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.options import Json


def add_to(program: typer.Typer) -> None:
    """Add these commands."""
    program.command()(demo)
    program.command()(init)


def demo(
    what: Annotated[
        str, typer.Argument(metavar="[bank|tenants|refunds|halt|runaway]", help="What to see.", show_default=False)
    ] = "bank",
    keep: Annotated[bool, typer.Option("--keep", help="Keep the demo's database and logs, and say where.")] = False,
    json: Json = False,
) -> None:
    """See a run survive its worker's death; tenants that never meet; refunds by policy; a halt; a runaway stopped."""
    if what == "bank":
        from holdfast.cli.demo.play import play
    elif what == "tenants":
        from holdfast.cli.demo.tenants import play
    elif what == "refunds":
        from holdfast.cli.demo.refunds import play
    elif what == "halt":
        from holdfast.cli.demo.halting import play
    elif what == "runaway":
        from holdfast.cli.demo.runaway import play
    else:
        raise typer.BadParameter("There are: bank, tenants, refunds, halt, runaway.", param_hint="WHAT")
    raise typer.Exit(play(keep=keep, as_json=json))


def init(
    directory: Annotated[Path, typer.Argument(help="Where to write the project; new or empty.")],
    json: Json = False,
) -> None:
    """Write a small project that runs offline at once."""
    from holdfast.cli.init.write import init_project

    init_project(directory, as_json=json)
