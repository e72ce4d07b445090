"""Arguments and options that several commands take, each described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Answer with JSON, for programs.")]
DataDir: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="The embedded database and its key. Default: .holdfast", rich_help_panel="Settings"
    ),
]
DatabaseUrl: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--database-url", help="An outside PostgreSQL instead of the embedded one.", rich_help_panel="Settings"
    ),
]
AppRef: TypeAlias = Annotated[
    str | None,
    typer.Argument(
        metavar="[APP]",
        help="`module:attribute` or `path/to/file.py:attribute`; `:app` may be left out. Default: the setting `app`.",
        show_default=False,
    ),
]
RunRef: TypeAlias = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or `last` for the newest.")]
Slots: TypeAlias = Annotated[
    int | None,
    typer.Option("--slots", help="The most runs the worker executes at once.", rich_help_panel="Settings"),
]
LeaseS: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--lease-s", help="Seconds after which a silent worker's runs go to others.", rich_help_panel="Settings"
    ),
]
Host: TypeAlias = Annotated[
    str | None, typer.Option("--host", help="Where the API listens.", rich_help_panel="Settings")
]
Port: TypeAlias = Annotated[
    int | None, typer.Option("--port", help="Where the API listens; 0 takes a free port.", rich_help_panel="Settings")
]
