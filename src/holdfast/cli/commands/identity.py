"""`tenants`, `principals`, `keys`, `audit`: who there is, what they may, and what was done about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias
from uuid import UUID

import typer

from holdfast.cli.options import DatabaseUrl, DataDir, Json

_tenants = typer.Typer(help="The tenants of this installation.", no_args_is_help=True)
_quotas = typer.Typer(help="What a tenant may have at most.", no_args_is_help=True)
_limits = typer.Typer(help="What each run of a tenant may do at most. `--tenant` says of which.", no_args_is_help=True)
_principals = typer.Typer(help="The people and services of a tenant, and their roles.", no_args_is_help=True)
_keys = typer.Typer(help="API keys.", no_args_is_help=True)
_audit = typer.Typer(help="What was done to people, roles and keys, and by whom.", no_args_is_help=True)

_Limit: TypeAlias = Annotated[int, typer.Option("--limit", min=1, max=200)]
_After: TypeAlias = Annotated[str | None, typer.Option("--after", help="`next` of the page before.")]
_Name: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="The principal's name or id.")]
_Role: TypeAlias = Annotated[
    str, typer.Argument(metavar="ROLE", help="user, approver, operator, auditor, admin; of the platform: platform.")
]
_Tenant: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="The tenant's name.")]
_Key: TypeAlias = Annotated[UUID, typer.Argument(metavar="ID", help="As `holdfast keys ls` shows it.")]


def add_to(program: typer.Typer) -> None:
    """Add these commands."""
    _tenants.add_typer(_quotas, name="quotas")
    _tenants.add_typer(_limits, name="limits")
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


@_tenants.command("suspend")
def tenants_suspend(
    name: _Tenant,
    reason: Annotated[str, typer.Option("--reason", help="The tenant reads it in its audit log.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Stop it: nothing new starts; what is queued parks now, what runs at its next effect."""
    from holdfast.cli.identity.tenants import suspend_tenant as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), name, reason=reason, as_json=json)


@_tenants.command("resume")
def tenants_resume(
    name: _Tenant, data_dir: DataDir = None, database_url: DatabaseUrl = None, json: Json = False
) -> None:
    """Let a suspended tenant go on, and what was parked with it."""
    from holdfast.cli.identity.tenants import resume_tenant as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), name, as_json=json)


@_quotas.command("show")
def quotas_show(name: _Tenant, data_dir: DataDir = None, database_url: DatabaseUrl = None, json: Json = False) -> None:
    """Show what it may have at most."""
    from holdfast.cli.identity.quotas import show_quotas as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), name, as_json=json)


@_quotas.command("set")
def quotas_set(
    name: _Tenant,
    principals: Annotated[int | None, typer.Option("--principals", min=0, help="Who are not disabled.")] = None,
    runs: Annotated[int | None, typer.Option("--runs", min=0, help="That have not ended.")] = None,
    bytes_: Annotated[int | None, typer.Option("--bytes", min=0, help="Of content, events and messages.")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Set these; the others stay. What it has already stays as well."""
    from holdfast.cli.identity.quotas import change_quotas as act
    from holdfast.cli.settings import load_settings
    from holdfast.service.identity_views import Quotas

    put = Quotas(principals=principals, runs=runs, bytes=bytes_)
    act(load_settings(data_dir=data_dir, database_url=database_url), name, put, as_json=json)


@_quotas.command("rm")
def quotas_rm(
    name: _Tenant,
    quotas: Annotated[list[str], typer.Argument(metavar="QUOTA...", help="principals, runs, bytes.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Take these away: it may have as many as there is room for."""
    from holdfast.cli.identity.quotas import change_quotas as act
    from holdfast.cli.settings import load_settings
    from holdfast.service.identity_views import Quotas

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    act(settings, name, Quotas(principals=None, runs=None, bytes=None), drop=quotas, as_json=json)


@_limits.command("show")
def limits_show(data_dir: DataDir = None, database_url: DatabaseUrl = None, json: Json = False) -> None:
    """Show what each run of the tenant may do at most."""
    from holdfast.cli.identity.limits import show_limits as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), as_json=json)


@_limits.command("set")
def limits_set(
    limits: Annotated[
        list[str], typer.Argument(metavar="NAME=NUMBER...", help="steps=40, cost_usd=5, wall_clock=10m, calls:TOOL=2.")
    ],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Set these; the others stay. No task, request or decision lets a run pass them."""
    from holdfast.cli.identity.limits import change_limits as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), limits, as_json=json)


@_limits.command("rm")
def limits_rm(
    names: Annotated[list[str], typer.Argument(metavar="LIMIT...", help="As `tenants limits show` names them.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Take these away: the tenant does not limit them any more."""
    from holdfast.cli.identity.limits import change_limits as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), (), drop=names, as_json=json)


@_tenants.command("export")
def tenants_export(
    name: _Tenant,
    out_file: Annotated[Path, typer.Option("--out", help="The file to write, as JSON Lines.")],
    key_file: Annotated[Path, typer.Option("--key-file", help="Where to write the key of its content. Keep it apart.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Write everything it has to a file, as of this moment."""
    from holdfast.cli.identity.tenants import export_tenant as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), name, out_file=out_file, key_file=key_file)


@_tenants.command("import")
def tenants_import(
    in_file: Annotated[Path, typer.Argument(metavar="FILE", help="As `tenants export` wrote it.")],
    key_file: Annotated[Path, typer.Option("--key-file", help="The key of its content.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Bring a tenant in under its own id and name, suspended until `tenants resume`."""
    from holdfast.cli.identity.tenants import import_tenant as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), in_file, key_file=key_file, as_json=json)


@_tenants.command("delete")
def tenants_delete(
    name: _Tenant,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Delete a suspended tenant for good, with the keys of its content. Prints the evidence."""
    from holdfast.cli.identity.tenants import delete_tenant as act
    from holdfast.cli.settings import load_settings

    if not yes:
        typer.confirm(f"Delete tenant {name} and all it has, for good?", abort=True, err=True)
    act(load_settings(data_dir=data_dir, database_url=database_url), name, as_json=json)


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
    ends_in: Annotated[
        str | None,
        typer.Option("--ends-in", help="As 90d, 12h. Default: as long as the old one was made to live."),
    ] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Make a key's successor, which is shown this once."""
    from holdfast.cli.identity.keys import rotate_key as act
    from holdfast.cli.settings import load_settings

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    act(settings, key, overlap=overlap, ends_in=ends_in, as_json=json)


@_keys.command("revoke")
def keys_revoke(key: _Key, data_dir: DataDir = None, database_url: DatabaseUrl = None, json: Json = False) -> None:
    """End a key now."""
    from holdfast.cli.identity.keys import revoke_key as act
    from holdfast.cli.settings import load_settings

    act(load_settings(data_dir=data_dir, database_url=database_url), key, as_json=json)
