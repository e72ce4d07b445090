"""`holdfast tenants ...`, and `audit ls`."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from holdfast.cli.screen import clock, err, out, plain, print_json, table
from holdfast.cli.services import with_services
from holdfast.domain.errors import UserError
from holdfast.service import manage_tenants as use
from holdfast.service.export_tenant import export_tenant as exporting
from holdfast.service.import_tenant import import_tenant as importing
from holdfast.service.names import names_of
from holdfast.service.read_audit_log import read_audit_log
from holdfast.store.vault import WrappingKey

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Mapping
    from pathlib import Path

    from holdfast.service.identity_views import (
        AuditPage,
        DeletedTenantView,
        NewTenantView,
        Quotas,
        TenantPage,
        TenantView,
    )
    from holdfast.service.services import Services
    from holdfast.settings import Settings


def list_tenants(settings: Settings, *, limit: int, after: str | None, as_json: bool) -> None:
    """Print a page of tenants."""

    async def act(services: Services) -> TenantPage:
        return await use.list_tenants(services, services.caller, after=after, limit=limit)

    page = with_services(of_platform(settings), act)
    if as_json:
        print_json(page)
        return
    made = table("id", "tenant", "state", "at most", "created")
    for one in page.items:
        made.add_row(str(one.id), one.name, one.state, _at_most(one.quotas) or "-", clock(one.created_at))
    out().print(made)
    if page.next:
        out().print(f"More: --after {page.next}", style="dim")


def create_tenant(settings: Settings, name: str, *, admin: str, as_json: bool) -> None:
    """Create a tenant with its first administrator, and print that one's key, this once.

    Raises:
        NameTaken: another tenant has this name.
    """

    async def act(services: Services) -> NewTenantView:
        return await use.create_tenant(services, services.caller, name, admin=admin)

    made = with_services(of_platform(settings), act)
    if as_json:
        print_json(made)
        return
    first, secret = made.founded()
    note = f"tenant {made.name}, with {first.name} as its administrator, whose key is shown this once:"
    err().print(note, markup=False)
    out().print(secret, markup=False)


def suspend_tenant(settings: Settings, name: str, *, reason: str, as_json: bool) -> None:
    """Stop a tenant."""
    _act(settings, lambda services: use.suspend_tenant(services, services.caller, name, reason=reason), as_json=as_json)


def resume_tenant(settings: Settings, name: str, *, as_json: bool) -> None:
    """Let a suspended tenant go on."""
    _act(settings, lambda services: use.resume_tenant(services, services.caller, name), as_json=as_json)


def delete_tenant(settings: Settings, name: str, *, as_json: bool) -> None:
    """Delete a suspended tenant for good, and print the evidence."""

    async def act(services: Services) -> DeletedTenantView:
        return await use.delete_tenant(services, services.caller, name)

    gone = with_services(of_platform(settings), act)
    if as_json:
        print_json(gone)
        return
    out().print(f"tenant {gone.name}, {gone.id}: deleted, with {gone.runs} runs", markup=False)
    out().print(f"SHA-256 of where their journals ended: {gone.heads_sha256}", markup=False)
    for table_, count in gone.rows.items():
        out().print(f"  {count} rows of {table_}", markup=False)


def export_tenant(settings: Settings, name: str, *, out_file: Path, key_file: Path) -> None:
    """Write everything of a tenant to a file, and the key of its content, made anew, to another.

    What fails or is refused leaves neither of them.

    Raises:
        NotFound: there is no such tenant.
        UserError: a file is there already, or cannot be written.
    """
    key = WrappingKey.generate()

    async def act(services: Services) -> None:
        with _new_files(out_file, key_file, key) as target:
            async for line in exporting(services, services.caller, key):
                with _writing(out_file):
                    target.write(line)

    with_services(settings.model_copy(update={"tenant": name}), act)
    err().print(f"{name} is in {out_file}. Its content opens with {key_file} only: keep it apart.", markup=False)


@contextmanager
def _new_files(out_file: Path, key_file: Path, key: WrappingKey) -> Generator[BinaryIO, None, None]:
    """A file to write to, and one with the key. Whatever the block raises, neither is left."""
    with ExitStack() as undo:
        with _writing(key_file):
            key.save(key_file)
        undo.callback(key_file.unlink, missing_ok=True)
        with _writing(out_file):
            target = out_file.open("xb")
        undo.callback(out_file.unlink, missing_ok=True)
        undo.callback(_give_up, target)
        yield target
        with _writing(out_file):
            target.close()
        undo.pop_all()


@contextmanager
def _writing(file: Path) -> Generator[None, None, None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}. Nothing was exported.") from error


def _give_up(target: BinaryIO) -> None:
    with suppress(OSError):  # what could not be written is written once more, and is of no use
        target.close()


def import_tenant(settings: Settings, in_file: Path, *, key_file: Path, as_json: bool) -> None:
    """Bring a tenant in from a file. It is suspended until `tenants resume`.

    Raises:
        NameTaken: there is a tenant of its id or name.
        InvalidInput: the file is no export, or incomplete.
        UserError: a file cannot be read.
    """
    key = WrappingKey.from_file(key_file)

    async def act(services: Services) -> TenantView:
        try:
            with in_file.open("rb") as lines:
                return await importing(services, services.caller, lines, key)
        except OSError as error:
            raise UserError(f"{in_file} cannot be read: {error.strerror}.") from error

    _print(with_services(of_platform(settings), act), as_json=as_json)


def _act(settings: Settings, act: Callable[[Services], Awaitable[TenantView]], *, as_json: bool) -> None:
    _print(with_services(of_platform(settings), act), as_json=as_json)


def _print(view: TenantView, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
        return
    quotas = _at_most(view.quotas)
    out().print(f"tenant {view.name}: {view.state}{f', at most {quotas}' if quotas else ''}", markup=False)


def _at_most(quotas: Quotas) -> str:
    return ", ".join(f"{most} {what}" for what, most in quotas.model_dump(exclude_none=True).items())


def list_audit_log(settings: Settings, *, limit: int, after: str | None, as_json: bool) -> None:
    """Print a page of the tenant's audit log, newest first."""

    async def act(services: Services) -> tuple[AuditPage, Mapping[str, str]]:
        who = services.caller
        page = await read_audit_log(services, who, cursor=after, limit=limit)
        actors = {actor for entry in page.items for actor in (entry.actor, entry.target)}
        return page, await names_of(services, who.tenant, actors)

    page, names = with_services(settings, act)
    if as_json:
        print_json(page)
        return
    made = table("at", "who", "did", "to", "details")
    for entry in page.items:
        made.add_row(clock(entry.at), names[entry.actor], entry.action, names[entry.target], plain(entry.details))
    out().print(made)
    if page.next:
        out().print(f"More: --after {page.next}", style="dim")


def of_platform(settings: Settings) -> Settings:
    """These settings, acting in the platform's own tenant."""
    return settings.model_copy(update={"tenant": "platform"})
