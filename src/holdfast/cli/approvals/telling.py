"""A human task on a terminal: the same as the interface gives, in lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from holdfast.cli.screen import clock, out
from holdfast.service.approval_shapes import looked_at_text, source_text, to_raise
from holdfast.service.visible import visible, visible_json

if TYPE_CHECKING:
    from holdfast.service.approval_shapes import ApprovalDetail, ApprovalView, ChangeView
    from holdfast.service.base_views import ContentView


def print_task(task: ApprovalDetail) -> None:
    """Print a human task and, where it is open, how to decide it; else who decided it."""
    screen = out()
    screen.print(Text(_QUESTIONS[task.kind].format(visible(task.tool)), style="bold"))
    screen.print(Text(_content(task.args, indent=2)))
    for line in _lines(task):
        screen.print(Text(visible(line)))
    for line in _history(task):
        screen.print(Text(visible(line), style="dim"))
    if task.state == "pending":
        choice = choices(task)
        screen.print(Text(f"holdfast approvals decide {task.id} --digest {task.digest} {choice}"))
    else:
        by = ", ".join(_name(task, one) for one in (task.agreed or [task.decided_by or "nobody"]))
        screen.print(Text(f"{task.state} by {visible(by)}, {clock(task.decided_at)}"))


_QUESTIONS = {
    "approval": "{}: May it be called?",
    "question": "{}: What is the answer?",
    "in_doubt": "{}: Did it take place?",
    "escalation": "The run cannot go on by itself. What becomes of it?",
}


def choices(task: ApprovalView) -> str:
    """How a task can be decided, as options of the command."""
    match task.kind:
        case "approval":
            return "--approve | --reject"
        case "question":
            return "--answer TEXT | --answer-json JSON | --decline"
        case "in_doubt":
            return "--done JSON | --not-done | --fail"
        case "escalation":
            raised = f" --limit {limit}=NUMBER" if (limit := to_raise(task)) else ""
            return f"--go-on{raised} | --finish JSON | --fail"


def _lines(task: ApprovalDetail) -> Iterator[str]:
    if task.edits:
        yield "edited, in these places:"
        yield from _changes(task.edits)
    if task.on_the_way:
        yield "the agent's own code changes it on the way:"
        yield from _changes(task.on_the_way)
    yield from () if task.metadata is None else [f"the tool says: {_content(task.metadata)}"]
    for name, labels in (task.sources or {}).items():
        yield f"{name}: {source_text(labels)}"
    if task.why:
        yield task.why
    yield from _policy(task)
    asker = f", asked for by {_name(task, task.requested_by)}" if task.requested_by else ""
    yield f"for {_name(task, task.principal)}{asker}; task {task.task}"
    agreed = f" ({', '.join(_name(task, one) for one in task.agreed)})" if task.agreed else ""
    yield f"asks {task.ask or 'whoever may decide'}: {len(task.agreed)} of {task.needed} agreed{agreed}"
    if task.state == "pending":
        if task.refused or task.voted:
            yield "not yours to decide: " + (task.refused or "you have agreed already")
        yield f"{'if declined' if task.kind == 'question' else 'if rejected'}: {task.if_rejected}"
        ends = f" That is {clock(task.expires_at)}." if task.expires_at else ""
        yield f"if nobody answers: {task.if_unanswered}{ends}"
        for one in task.escalates:
            yield f"then asks {one.ask or 'whoever may decide'}, {clock(one.at)}"
    yield f"run {task.run}, asked {clock(task.asked_at)}, key {task.key or '-'}"
    yield f"digest {task.digest}"


def _history(task: ApprovalDetail) -> Iterator[str]:
    for one in task.history:
        said = "" if one.content is None else f": {_content(one.content)}"
        yield f"{clock(one.at)} {one.what} by {_name(task, one.by)}{said}"


def _policy(task: ApprovalDetail) -> Iterator[str]:
    if task.reason is not None and task.reason.value is not None:
        yield f"the policy's reason: {task.reason.value}"
    if looked_at := looked_at_text(task):
        yield f"the policy looked at {looked_at}"
    if task.rules:
        yield f"asked by the policy's {', '.join(task.rules)}"


def _changes(changes: Iterable[ChangeView]) -> Iterator[str]:
    for one in changes:
        before = "(nothing)" if one.added else visible_json(one.before)
        after = "(nothing)" if one.removed else visible_json(one.after)
        yield f"  {one.place or 'all'}: {before} -> {after}"


def _name(task: ApprovalDetail, actor: str) -> str:
    return task.names.get(actor, actor)


def _content(view: ContentView, indent: int | None = None) -> str:
    if view.erased:
        return "(erased)"
    if view.missing:
        return "(not stored any more)"
    return visible_json(view.value, indent=indent)
