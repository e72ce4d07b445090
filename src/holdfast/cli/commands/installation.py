"""`doctor`, `migrate`, `config show`, `version`: the installation itself."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast.cli.options import DatabaseUrl, DataDir, Json

_config = typer.Typer(help="The settings in force.", no_args_is_help=True)


def add_to(program: typer.Typer) -> None:
    """Add these commands."""
    for command in (doctor, migrate, version):
        program.command()(command)
    program.add_typer(_config, name="config")


def doctor(data_dir: DataDir = None, database_url: DatabaseUrl = None, json: Json = False) -> None:
    """Check what Holdfast needs here, and explain. Changes nothing. Ends with 4 where something is wrong."""
    from holdfast.cli.doctor.command import doctor as act
    from holdfast.cli.settings import load_settings

    raise typer.Exit(act(load_settings(data_dir=data_dir, database_url=database_url), as_json=json))


def migrate(
    data_dir: DataDir = None,
    database_url: Annotated[
        str | None,
        typer.Option(
            "--database-url",
            help="The database to migrate, with a login that owns it. Default: HOLDFAST_ADMIN_DATABASE_URL, or the "
            "embedded one.",
        ),
    ] = None,
    worker_password: Annotated[
        str | None,
        typer.Option(
            "--worker-password",
            envvar="HOLDFAST_WORKER_PASSWORD",
            help="Set the password of the login holdfast_worker. Better in the environment: others see command lines.",
        ),
    ] = None,
    api_password: Annotated[
        str | None,
        typer.Option("--api-password", envvar="HOLDFAST_API_PASSWORD", help="The same for holdfast_api."),
    ] = None,
    halt_password: Annotated[
        str | None,
        typer.Option("--halt-password", envvar="HOLDFAST_HALT_PASSWORD", help="The same for holdfast_halt."),
    ] = None,
    json: Json = False,
) -> None:
    """Create or upgrade the schema and the login roles. Safe to repeat."""
    from holdfast.cli.migrate.command import migrate as act
    from holdfast.cli.settings import load_settings

    settings = load_settings(data_dir=data_dir, admin_database_url=database_url)
    passwords = {"holdfast_worker": worker_password, "holdfast_api": api_password, "holdfast_halt": halt_password}
    act(settings, {role: given for role, given in passwords.items() if given}, as_json=json)


@_config.command()
def show(data_dir: DataDir = None, database_url: DatabaseUrl = None, json: Json = False) -> None:
    """Show every setting, its value, and where it came from. Secrets are masked."""
    from holdfast.cli.config import show_config as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), as_json=json)


def version(json: Json = False) -> None:
    """Show the versions of Holdfast and of what it stands on."""
    from holdfast.cli.version import show_version as act

    act(as_json=json)
