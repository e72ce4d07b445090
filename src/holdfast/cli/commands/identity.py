"""`tenants`, `principals`, `keys`, `audit`: who there is, what they may, and what was done about it."""

from __future__ import annotations

from typing import Annotated, TypeAlias
from uuid import UUID

import typer

from holdfast.cli.options import DatabaseUrl, DataDir, Json

_tenants = typer.Typer(help="The tenants of this installation.", no_args_is_help=True)
_principals = typer.Typer(help="The people and services of a tenant, and their roles.", no_args_is_help=True)
_keys = typer.Typer(help="API keys.", no_args_is_help=True)
_audit = typer.Typer(help="What was done to people, roles and keys, and by whom.", no_args_is_help=True)

_Limit: TypeAlias = Annotated[int, typer.Option("--limit", min=1, max=200)]
_After: TypeAlias = Annotated[str | None, typer.Option("--after", help="`next` of the page before.")]
_Name: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="The principal's name or id.")]
_Role: TypeAlias = Annotated[
    str, typer.Argument(metavar="ROLE", help="user, approver, operator, auditor, admin; of the platform: platform.")
]
_Key: TypeAlias = Annotated[UUID, typer.Argument(metavar="ID", help="As `holdfast keys ls` shows it.")]


def add_to(program: typer.Typer) -> None:
    """Add these commands."""
    for name, group in (("tenants", _tenants), ("principals", _principals), ("keys", _keys), ("audit", _audit)):
        program.add_typer(group, name=name)


@_tenants.command("ls")
def tenants_ls(
    limit: _Limit = 50,
    after: _After = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """List tenants by name."""
    from holdfast.cli.identity.tenants import list_tenants as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), limit=limit, after=after, as_json=json)


@_tenants.command("create")
def tenants_create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits and hyphens.")],
    admin: Annotated[str, typer.Option("--admin", help="The name of its first administrator.")] = "admin",
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Create a tenant and its first administrator, whose key is shown this once."""
    from holdfast.cli.identity.tenants import create_tenant as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), name, admin=admin, as_json=json)


@_audit.command("ls")
def audit_ls(
    limit: _Limit = 50,
    after: _After = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Show the tenant's audit log, newest first."""
    from holdfast.cli.identity.tenants import list_audit_log as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), limit=limit, after=after, as_json=json)


@_principals.command("ls")
def principals_ls(
    limit: _Limit = 50,
    after: _After = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """List people and services by name."""
    from holdfast.cli.identity.principals import list_principals as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), limit=limit, after=after, as_json=json)


@_principals.command("invite")
def principals_invite(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    role: Annotated[list[str] | None, typer.Option("--role", help="May be given again. Default: user.")] = None,
    service: Annotated[bool, typer.Option("--service", help="A service, not a person.")] = False,
    email: Annotated[str | None, typer.Option("--email")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Make a person or a service. `holdfast keys create NAME` then gives it a key."""
    from holdfast.cli.identity.principals import invite as act
    from holdfast.cli.settings import load_settings

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    act(settings, name, roles=role or ["user"], service=service, email=email, as_json=json)


@_principals.command("grant")
def principals_grant(
    name: _Name, role: _Role, data_dir: DataDir = None, database_url: DatabaseUrl = None, json: Json = False
) -> None:
    """Give a role."""
    from holdfast.cli.identity.principals import grant as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), name, role, as_json=json)


@_principals.command("revoke")
def principals_revoke(
    name: _Name, role: _Role, data_dir: DataDir = None, database_url: DatabaseUrl = None, json: Json = False
) -> None:
    """Take a role. What runs for them notices before its next effect."""
    from holdfast.cli.identity.principals import revoke as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), name, role, as_json=json)


@_principals.command("disable")
def principals_disable(
    name: _Name, data_dir: DataDir = None, database_url: DatabaseUrl = None, json: Json = False
) -> None:
    """Let them do nothing any more. What runs for them stops at its next effect."""
    from holdfast.cli.identity.principals import disable as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), name, as_json=json)


@_principals.command("enable")
def principals_enable(
    name: _Name, data_dir: DataDir = None, database_url: DatabaseUrl = None, json: Json = False
) -> None:
    """Let them act again. What was stopped goes on."""
    from holdfast.cli.identity.principals import enable as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), name, as_json=json)


@_keys.command("ls")
def keys_ls(
    limit: _Limit = 50,
    after: _After = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """List keys, newest first."""
    from holdfast.cli.identity.keys import list_keys as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), limit=limit, after=after, as_json=json)


@_keys.command("create")
def keys_create(
    principal: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Whose key. Default: yours.", show_default=False)
    ] = None,
    name: Annotated[str, typer.Option("--name", help="What it is for.")] = "",
    scope: Annotated[list[str] | None, typer.Option("--scope", help="Narrow it to this; may be given again.")] = None,
    ends_in: Annotated[str | None, typer.Option("--ends-in", help="As 90d, 12h. Default: it does not end.")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Make a key. It is shown this once."""
    from holdfast.cli.identity.keys import create_key as act
    from holdfast.cli.settings import load_settings

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    act(settings, principal, name=name, scopes=scope or [], ends_in=ends_in, as_json=json)


@_keys.command("rotate")
def keys_rotate(
    key: _Key,
    overlap: Annotated[str, typer.Option("--overlap", help="How long the old one is still accepted.")] = "24h",
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Make a key's successor, which is shown this once."""
    from holdfast.cli.identity.keys import rotate_key as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), key, overlap=overlap, as_json=json)


@_keys.command("revoke")
def keys_revoke(key: _Key, data_dir: DataDir = None, database_url: DatabaseUrl = None, json: Json = False) -> None:
    """End a key now."""
    from holdfast.cli.identity.keys import revoke_key as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), key, as_json=json)
