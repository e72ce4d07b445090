"""`holdfast sessions ls` and `show`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from rich.text import Text

from holdfast.cli.runs.listing import state_of
from holdfast.cli.screen import clock, out, print_json, table
from holdfast.cli.services import with_services
from holdfast.cli.teller import preview
from holdfast.service import invalidate_messages as withdraw
from holdfast.service import manage_sessions as use
from holdfast.service import show_session as reading
from holdfast.service.names import names_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.service.services import Services
    from holdfast.service.session_views import InvalidationView, MessageView, SessionPage, SessionStoryView
    from holdfast.settings import Settings


def list_sessions(settings: Settings, *, limit: int, after: str | None, as_json: bool) -> None:
    """Print a page of sessions, newest first."""

    async def act(services: Services) -> tuple[SessionPage, Mapping[str, str]]:
        page = await use.list_sessions(services, services.caller, cursor=after, limit=limit)
        return page, await names_of(services, services.caller.tenant, {one.principal for one in page.items})

    page, names = with_services(settings, act)
    if as_json:
        print_json(page)
        return
    made = table("id", "of", "begun", "last run")
    for one in page.items:
        made.add_row(str(one.id), names[one.principal], clock(one.created_at), str(one.last_run or "-"))
    out().print(made)
    _print_more(page.next)


def show_session(settings: Settings, session: UUID, *, limit: int, after: str | None, as_json: bool) -> None:
    """Print a session's runs and a page of its messages.

    Raises:
        NotFound: there is no such session.
        SessionDeleted: it was deleted.
    """

    async def act(services: Services) -> tuple[SessionStoryView, dict[UUID, InvalidationView]]:
        who = services.caller
        story = await reading.show_session(services, who, session, cursor=after, limit=limit)
        marks = (await withdraw.list_invalidations(services, who, session)).items
        return story, {one.id: one for one in marks}

    story, marks = with_services(settings, act)
    if as_json:
        print_json(story)
        return
    screen = out()
    made = table("run", "task", "state", "started")
    for run in story.runs:
        made.add_row(str(run.id), run.task, state_of(run), clock(run.created_at))
    screen.print(made)
    if story.erased:
        screen.print("The key of its subject was destroyed: nobody can read its messages any more.")
    for message in story.messages:
        screen.print(_told(message, marks))
    _print_more(story.next)


def _told(message: MessageView, marks: Mapping[UUID, InvalidationView]) -> Text:
    told = Text(f"\n{message.run} {message.place} {message.role}", style="bold")
    for part in message.parts:
        named = f"{part.kind} {part.tool}" if part.tool else part.kind
        told.append(f"\n  {named}: {preview(part.content)}", style="not bold")
    for id_ in message.invalidations:
        told.append(f"\n  not given any more: {preview(marks[id_].reason)} ({id_})", style="not bold yellow")
    return told


def _print_more(after: str | None) -> None:
    if after:
        out().print(f"More: --after {after}", style="dim")
