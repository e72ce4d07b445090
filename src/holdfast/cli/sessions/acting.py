"""`holdfast sessions delete`, `invalidate` and `lift`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import typer

from holdfast.cli.screen import out, print_json
from holdfast.cli.services import with_services
from holdfast.cli.teller import preview
from holdfast.service import invalidate_messages as use
from holdfast.service.manage_sessions import delete_session as delete

if TYPE_CHECKING:
    from holdfast.service.services import Services
    from holdfast.service.session_views import InvalidationView
    from holdfast.settings import Settings


def delete_session(settings: Settings, session: UUID) -> None:
    """Delete a session.

    Raises:
        NotFound: there is no such session.
    """

    async def act(services: Services) -> None:
        await delete(services, services.caller, session)

    with_services(settings, act)


def invalidate(
    settings: Settings,
    session: UUID,
    *,
    message: str | None,
    run: UUID | None,
    first: int | None,
    last: int | None,
    reason: str,
    as_json: bool,
) -> None:
    """Mark messages as no longer to be given to the model.

    Raises:
        NotFound: there is no such session.
        SessionDeleted: it was deleted.
        InvalidInput: there are no such messages.
    """
    what = _what(message, run, first, last)

    async def act(services: Services) -> InvalidationView:
        return await use.invalidate_messages(services, services.caller, session, what, reason)

    _print(with_services(settings, act), as_json=as_json)


def lift(settings: Settings, session: UUID, invalidation: UUID, *, reason: str, as_json: bool) -> None:
    """Let them be given again.

    Raises:
        NotFound: there is no such session or invalidation.
        SessionDeleted: it was deleted.
    """

    async def act(services: Services) -> InvalidationView:
        return await use.lift_invalidation(services, services.caller, session, invalidation, reason)

    _print(with_services(settings, act), as_json=as_json)


def _what(message: str | None, run: UUID | None, first: int | None, last: int | None) -> use.Span | str:
    if message is not None and run is None and first is None and last is None:
        return message
    if message is None and run is not None and first is not None:
        return use.Span(run, first, first if last is None else last)
    raise typer.BadParameter("Give either --message, or --run and --from.", param_hint="--message")


def _print(view: InvalidationView, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
        return
    span = f"{view.first}" if view.first == view.last else f"{view.first} to {view.last}"
    given = "not given any more" if view.lifted_at is None else "given again"
    out().print(f"{view.id}: {span} of run {view.run}: {given}: {preview(view.reason)}", markup=False)
