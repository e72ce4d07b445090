"""`holdfast tasks`: what an app's tasks take, may do and turn to."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from rich.text import Text

from holdfast.cli.screen import out, print_json
from holdfast.domain.limits import describe, display
from holdfast.domain.loops import in_words
from holdfast.loading import load_app
from holdfast.service.list_tasks import task_view

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from holdfast.domain.loops import LoopKind
    from holdfast.service.views import TaskView


def show_tasks(reference: str, name: str | None, *, as_json: bool) -> None:
    """Print the boundaries of an app's tasks, or of one.

    Raises:
        UserError: the app cannot be loaded.
        UnknownTask: it has no such task.
    """
    app = load_app(reference)
    tasks = [app[name]] if name is not None else [task for _, task in sorted(app.tasks.items())]
    views = [task_view(task) for task in tasks]
    if as_json:
        print_json([view.model_dump(mode="json") for view in views])
        return
    for view in views:
        out().print(Text(f"{view.name}, version {view.version}", style="bold"))
        for line in _lines(view):
            out().print(Text(f"  {line}"))


def _lines(view: TaskView) -> Iterator[str]:
    yield f"takes: {_type(view.input_schema)}"
    yield f"gives: {'whatever its agent gives' if view.output_schema is None else _type(view.output_schema)}"
    if view.checks_success:
        yield "counts as success only what its own check lets pass"
    yield f"for: {', '.join(view.roles) or 'whoever may start runs'}"
    if not view.limits:
        yield "limits: none"
    for limit, most in view.limits.items():
        yield f"at most {display(limit, most)} {describe(limit)}"
    if view.limits:
        yield f"a limit reached: {'it waits until it is raised' if view.on_limit == 'park' else 'it fails'}"
    yield from _loops(view)
    if view.terminal:
        yield f"fails at once on: {', '.join(view.terminal)}"
    path = view.escalation
    if path is None:
        yield "in trouble: it fails"
        return
    ends = "" if path.expires_s is None else f"; fails after {path.expires_s:g} s without an answer"
    then = "".join(f", after {after_s:g} s {ask}" for after_s, ask in path.then)
    yield f"in trouble ({', '.join(path.on)}): goes to {path.to}{then}{ends}"


def _loops(view: TaskView) -> Iterator[str]:
    if not view.loops:
        yield "loops: it is not looked for any"
        return
    kinds = cast("Mapping[LoopKind, int]", view.loops)
    then = "waits for people" if view.on_limit == "park" else "fails"
    yield f"a loop ({', '.join(in_words(kind, times) for kind, times in kinds.items())}): told once, then it {then}"
    if view.repeats:
        yield f"may be repeated: {', '.join(view.repeats)}"


def _type(schema: Mapping[str, Any]) -> str:
    """A JSON schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if (fields := schema.get("properties")) is not None:
        return f"{schema.get('title', 'an object')} ({', '.join(fields)})"
    return str(schema.get("type", "anything"))
