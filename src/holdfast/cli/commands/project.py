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
    keep: Annotated[bool, typer.Option("--keep", help="Keep the demo's database and logs, and say where.")] = False,
    json: Json = False,
) -> None:
    """See a run survive: its worker is killed in the middle of a payment, and the payment is made once."""
    from holdfast.cli.demo.play import play

    raise typer.Exit(play(keep=keep, as_json=json))


def init(
    directory: Annotated[Path, typer.Argument(help="Where to write the project; new or empty.")],
    json: Json = False,
) -> None:
    """Write a small project that runs offline at once."""
    from holdfast.cli.init.write import init_project

    init_project(directory, as_json=json)
