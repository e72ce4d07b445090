"""`dev`, `serve`, `worker`: processes that stay."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.options import AppRef, DatabaseUrl, DataDir, Host, LeaseS, Port, Slots


def add_to(program: typer.Typer) -> None:
    """Add these commands."""
    for command in (dev, serve, worker):
        program.command()(command)


def dev(
    app: AppRef = None,
    reload: Annotated[bool, typer.Option("--reload/--no-reload", help="Start again when a file changes.")] = True,
    watch: Annotated[
        list[Path] | None,
        typer.Option("--watch", help="Directory to watch; may be repeated. Default: the working directory."),
    ] = None,
    host: Host = None,
    port: Port = None,
    slots: Slots = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """API, worker and embedded PostgreSQL on this machine, started again on change without losing a run."""
    from holdfast.cli.dev.command import dev as act
    from holdfast.cli.settings import load_settings

    settings = load_settings(app=app, host=host, port=port, slots=slots, data_dir=data_dir, database_url=database_url)
    raise typer.Exit(act(settings, reload=reload, watch=watch or [Path.cwd()]))


def serve(
    app: AppRef = None,
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Serve the HTTP API. Run as many as wanted."""
    from holdfast.cli.serve.command import serve as act
    from holdfast.cli.settings import load_settings

    act(load_settings(app=app, host=host, port=port, data_dir=data_dir, database_url=database_url))


def worker(
    app: AppRef = None,
    slots: Slots = None,
    lease_s: LeaseS = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Execute runs. Run as many as wanted, on as many machines."""
    from holdfast.cli.settings import app_of, load_settings

    settings = load_settings(app=app, slots=slots, lease_s=lease_s, data_dir=data_dir, database_url=database_url)
    reference = app_of(settings)
    from holdfast.cli.worker_process import serve as act

    act(settings, reference)
