"""What use cases of sessions answer with."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from holdfast.service.views import ContentView, RunView, View


class SessionView(View):
    """One conversation."""

    id: UUID
    principal: str
    subject: str
    """Whom it is about: under their key all that is said in it is sealed, whoever says it."""
    last_run: UUID | None = None
    """The last run that succeeded: the next one starts from its messages."""
    created_at: datetime


class SessionPage(View):
    """Some conversations, newest first."""

    items: list[SessionView]
    next: str | None = None


class PartView(View):
    """One part of a message: a text, a call of a tool, what a tool returned."""

    kind: str
    """As Pydantic AI names it, such as `user-prompt`, `text`, `tool-call`, `tool-return`."""
    tool: str | None = None
    call: str | None = None
    content: ContentView


class MessageView(View):
    """One message of a conversation."""

    ref: str
    """`<run>/<digest>`: names it for good."""
    run: UUID
    """The run by which it came into the conversation."""
    place: int
    """Its place among that run's messages, from 1."""
    role: Literal["request", "response"]
    """Whether it was said to the model or by it."""
    parts: list[PartView]
    invalidations: list[UUID]
    """Those in force: it is not given to the model any more."""


class SessionStoryView(View):
    """A conversation with its newest runs, and a page of its messages, oldest first."""

    session: SessionView
    runs: list[RunView]
    messages: list[MessageView]
    erased: bool = False
    """Its subject's key was destroyed: nobody can read the messages any more."""
    next: str | None = None
    """The cursor of the messages after these, as the conversation stood at the first page; None on the last."""


class InvalidationView(View):
    """Messages that the model is not given any more."""

    id: UUID
    run: UUID
    first: int
    last: int
    messages: list[str]
    reason: ContentView
    by: str
    at: datetime
    lifted_at: datetime | None = None
    """Since when it is not in force any more."""
    lifted_by: str | None = None
    lifted_reason: ContentView | None = None


class InvalidationList(View):
    """The invalidations of a conversation, oldest first, lifted ones included."""

    items: list[InvalidationView]
