"""The page behind a link: what is asked, whole, and what can be said. Needs no script; what others wrote is escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from html import escape
from typing import Any

from starlette.responses import HTMLResponse, Response

from holdfast.api.link_form import form_of
from holdfast.domain.approving import TaskKind, TaskState
from holdfast.service.approval_links import OpenLink
from holdfast.service.approval_shapes import ApprovalDetail, ChangeView, looked_at_text, source_text
from holdfast.service.base_views import ContentView
from holdfast.service.visible import visible, visible_json

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;"
    "background:#fff}h1{font-size:1.4rem;overflow-wrap:anywhere}h2{font-size:1rem;margin:1.5rem 0 .25rem}"
    "pre{background:#f4f4f4;padding:.75rem;margin:0;white-space:pre-wrap;overflow-wrap:anywhere}"
    "table{border-collapse:collapse;width:100%}td,th{border:1px solid #ccc;padding:.3rem .5rem;text-align:left;"
    "vertical-align:top;overflow-wrap:anywhere}dl{margin:1.5rem 0}h2+dl{margin-top:0}"
    "dt{font-weight:600;overflow-wrap:anywhere}dd{margin:0 0 .5rem;overflow-wrap:anywhere}"
    "label{display:block;font-weight:600;margin:1rem 0 .25rem}"
    "input,textarea,button{font:inherit;min-height:2.75rem;box-sizing:border-box}"
    "input,textarea{padding:.35rem;width:100%}"
    "input[type=checkbox]{width:1.25rem;margin:0 .5rem 0 0;vertical-align:middle}"
    "button{padding:.5rem 1.25rem;margin:1rem .5rem 0 0}:focus-visible{outline:3px solid #06c;outline-offset:2px}"
    ".warn{background:#fff3cd;padding:.75rem}"
    "p{overflow-wrap:anywhere}@media(min-width:40rem){dl{display:grid;grid-template-columns:11rem 1fr;column-gap:1rem}}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
}


_TITLES: dict[TaskKind, str] = {
    "approval": "{name}, may {tool} be called?",
    "question": "{name}, what is the answer to {tool}?",
    "in_doubt": "{name}, did {tool} take place?",
    "escalation": "{name}, what becomes of this run?",
}
_HEADS: dict[TaskKind, str] = {
    "approval": "With these arguments",
    "question": "What it asks",
    "in_doubt": "With these arguments",
    "escalation": "What happened, and what the run has done so far",
}
_IF_NOT: dict[TaskKind, tuple[str, str | None]] = {
    "approval": ("If you reject", None),
    "question": ("If you decline", None),
    "in_doubt": ("If it was not done", "The tool is called again. If you fail the run, it ends."),
    "escalation": ("If you fail the run", "It ends as failed."),
}
"""What the other answer is called, and what follows from it; None: as the task says it."""
_SAID: dict[TaskState, str] = {
    "done": "It took place.",
    "not_done": "It did not take place.",
    "go_on": "The run goes on.",
    "fail_run": "The run fails.",
}


def asking_page(
    link: OpenLink, *, warning: str = "", status: int = 200, kept: Mapping[str, str] | None = None
) -> Response:
    """What is asked, and the form that decides it, with what was typed into it before."""
    task = link.task
    warn = f'<p class="warn">{escape(warning)}</p>' if warning else ""
    title = _TITLES[task.kind].format(name=visible(link.name), tool=visible(task.tool))
    return _page(title, f"{warn}{_arguments(task)}{_facts(link)}{form_of(link, kept or {})}", status)


def decided_page(link: OpenLink, task: ApprovalDetail) -> Response:
    """What has become of it."""
    if task.state == "pending":
        said = f"{len(task.agreed)} of {task.needed} have agreed now. It waits for the others."
    else:
        said = _SAID.get(task.state, f"It is {task.state}.")
    return _page("Thank you.", f"<p>{_text(link.name)}, your word is kept. {escape(said)}</p>")


def invalid_page() -> Response:
    """The same for whatever opens nothing, so that nobody learns which of the reasons it is."""
    return _page(
        "This link opens nothing, or nothing any more.",
        "<p>It may have ended, been used, or be about what is not asked any more. Ask for another.</p>",
        404,
    )


def _facts(link: OpenLink) -> str:
    task, names = link.task, link.task.names
    called = {actor: f"{names.get(actor, actor)}" for actor in (task.principal, task.requested_by or "")}
    behind = called[task.principal] + (f", asked for by {called[task.requested_by]}" if task.requested_by else "")
    other, follows = _IF_NOT[task.kind]
    whom = "Who answers" if task.kind == "question" else "Who has to agree"
    so_far = "" if task.kind == "question" else f": {len(task.agreed)} of {task.needed} so far"
    rows = [
        ("The run is for", behind),
        ("Task", task.task),
        (whom, f"{task.ask or 'whoever may decide'}{so_far}"),
        ("Have agreed", ", ".join(names.get(one, one) for one in task.agreed)),
        ("Why it is asked", " ".join(filter(None, [task.why, _plain(task.reason)]))),
        ("The policy looked at", looked_at_text(task)),
        ("Lines of the policy", ", ".join(map(_line, task.rules)) + (f" (of {task.policy})" if task.policy else "")),
        (other, follows or task.if_rejected),
        ("If nobody answers", task.if_unanswered + (f" At {_clock(task.expires_at)}." if task.expires_at else "")),
        ("Then asked", "; ".join(f"{one.ask or 'whoever may decide'} at {_clock(one.at)}" for one in task.escalates)),
        ("Run", str(task.run)),
        ("Digest", task.digest),
    ]
    return _list((name, what) for name, what in rows if what)


def _arguments(task: ApprovalDetail) -> str:
    shown = f"<h2>{_HEADS[task.kind]}</h2>{_content(task.args)}"
    if task.metadata is not None:
        shown += f"<h2>The tool says</h2>{_content(task.metadata)}"
    if task.edits:
        shown += f"<h2>Edited: in what they differ from what the model gave</h2>{_changes(task.edits)}"
    if task.received:
        shown += "<h2>The agent's own code changes them on the way</h2>" + (
            _changes(task.on_the_way) or _content(task.received)
        )
    if task.sources:
        shown += "<h2>Where they came from</h2>"
        shown += _list((name, source_text(labels)) for name, labels in task.sources.items())
    return shown


def _changes(changes: Iterable[ChangeView]) -> str:
    rows = "".join(
        f"<tr><td>{_text(one.place or 'all')}</td><td>{'(nothing)' if one.added else _json(one.before)}</td>"
        f"<td>{'(nothing)' if one.removed else _json(one.after)}</td></tr>"
        for one in changes
    )
    return f"<table><tr><th>place</th><th>before</th><th>after</th></tr>{rows}</table>" if rows else ""


def _list(rows: Iterable[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{_text(name)}</dt><dd>{_text(what)}</dd>" for name, what in rows) + "</dl>"


def _content(view: ContentView) -> str:
    if view.erased or view.missing:
        return "<p>They cannot be shown: they were erased, or are not stored any more.</p>"
    return f"<pre>{_json(view.value)}</pre>"


def _plain(view: ContentView | None) -> str:
    return "" if view is None or view.value is None else str(view.value)


def _json(value: Any) -> str:
    return escape(visible_json(value, indent=2))


def _text(text: str) -> str:
    return escape(visible(text))


def _line(rule: str) -> str:
    """A statement without a name is named by its place, `12:1`."""
    line, _, column = rule.partition(":")
    return f"line {line}" if line.isdecimal() and column.isdecimal() else rule


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _page(title: str, body: str, status: int = 200) -> Response:
    head = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Holdfast: {escape(title)}</title><style>{_STYLE}</style>"
    )
    return HTMLResponse(f"{head}<main><h1>{escape(title)}</h1>{body}</main></html>", status, _HEADERS)
