"""`holdfast runs show`: a run as a story."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from holdfast.cli.approvals.telling import choices
from holdfast.cli.budgets.telling import money
from holdfast.cli.runs.listing import state_of
from holdfast.cli.screen import clock, lasted, out, print_json, table
from holdfast.cli.services import run_id, with_services
from holdfast.cli.teller import preview
from holdfast.domain.limits import describe, display
from holdfast.service import show_run as use_case
from holdfast.service.visible import visible

if TYPE_CHECKING:
    from datetime import datetime

    from holdfast.service.budget_views import BudgetWaitView
    from holdfast.service.services import Services
    from holdfast.service.views import LimitView, StepView, StoryView
    from holdfast.settings import Settings


def show_run(settings: Settings, reference: str, *, full: bool, as_json: bool) -> None:
    """Print the story of a run.

    Raises:
        NotFound: there is no such run.
    """

    async def act(services: Services) -> StoryView:
        return await use_case.show_run(services, services.caller, await run_id(services, reference))

    story = with_services(settings, act)
    if as_json:
        print_json(story)
        return
    _print_head(story)
    _print_steps(story, full=full)
    _print_foot(story, full=full)


def _print_head(story: StoryView) -> None:
    run = story.run
    took = ""
    if run.finished_at is not None:
        took = f" after {lasted(round((run.finished_at - run.created_at).total_seconds() * 1000))}"
    screen = out()
    screen.print(Text(f"run {run.id}", style="bold"))
    screen.print(Text(f"task {run.task}, version {run.task_version}, asked for by {story.asked_by}"))
    screen.print(Text(f"{state_of(run)}{took}; started {clock(run.created_at)}"))
    screen.print()


def _print_steps(story: StoryView, *, full: bool) -> None:
    made = table("at", "took", "tokens", "cost", "what", right=("at", "took", "tokens", "cost"))
    began = story.run.created_at
    for step in story.steps:
        tokens = f"{step.input_tokens} + {step.output_tokens}" if step.input_tokens or step.output_tokens else ""
        made.add_row(_offset(began, step.at), lasted(step.duration_ms), tokens, _cost(step), _what(step, full=full))
    out().print(made)


def _cost(step: StepView) -> str:
    known = [] if step.cost_usd is None else [f"${step.cost_usd:f}"]
    return " + ".join([*known, "?"] if step.unpriced else known)


def _offset(began: datetime, at: datetime) -> str:
    return f"{max(0.0, (at - began).total_seconds()):.2f} s"


def _what(step: StepView, *, full: bool) -> Text:
    indent = "  " * (step.scope.count("/") + 1 if step.scope else 0)
    attempts = f", attempt {step.attempts}" if step.attempts > 1 else ""
    told = Text(f"{indent}{step.title}{_outcome(step)}{attempts}")
    if step.why:
        told.append(f"\n{indent}  {step.why}", style="yellow")
    for name, content in step.content.items():
        # What was sent to a model is long and told by the steps before; it is shown where all was asked for.
        if full or name in {"input", "args", "result", "message", "reason", "output", "answer"}:
            told.append(f"\n{indent}  {name}: {preview(content, None if full else 160)}", style="dim")
    return told


def _outcome(step: StepView) -> str:
    if step.kind in {"accepted", "end", "message", "change"} or (step.kind == "wait" and step.outcome):
        return ""
    if not step.outcome:
        return ": under way"
    return "" if step.outcome == "value" else f": {step.outcome}"


def _print_foot(story: StoryView, *, full: bool) -> None:
    screen, run = out(), story.run
    screen.print()
    for task in story.waiting:
        screen.print(Text(f"Waits for a decision on {task.tool} {preview(task.args, None)}", style="yellow"))
        choice = choices(task)
        screen.print(Text(f"  holdfast approvals decide {task.id} {choice}"))
    if run.budget is not None:
        screen.print(Text(f"Waits for the {_budget(run.budget)}", style="yellow"))
        screen.print(Text(f"  holdfast budget show {run.budget.budget}"))
    if story.limits:
        screen.print(Text(f"limits: {', '.join(map(_limit, story.limits))}"))
    usage = run.usage
    screen.print(
        Text(
            f"{usage.model_requests} model requests, {usage.tool_calls} tool calls, "
            f"{usage.input_tokens} + {usage.output_tokens} tokens"
        )
    )
    if run.cost is not None:
        least = f", at least: {run.cost.unpriced} steps have no known price" if run.cost.at_least else ""
        screen.print(
            Text(f"${run.cost.cost_usd:f} (models ${run.cost.model_usd:f}, tools ${run.cost.tool_usd:f}){least}")
        )
    if run.output is not None:
        screen.print(Text(f"output: {preview(run.output, None)}"))
    if run.error is not None and not full:
        screen.print(Text(f"error: {run.error.error}: {preview(run.error.message, None)}", style="red"))


def _budget(wait: BudgetWaitView) -> str:
    unit = wait.called.rpartition("/")[2]
    holders = [f"{money(unit, one.amount)} by run {one.run}" for one in wait.holders or ()]
    held = f"; held: {', '.join(holders)}" if holders else ""
    return (
        f"budget {visible(wait.called)}: {money(unit, wait.window.left)} of {money(unit, wait.window.most)} left{held}"
    )


def _limit(limit: LimitView) -> str:
    most = display(limit.name, limit.most)
    stood = "at most" if limit.stood is None else f"{display(limit.name, limit.stood)} of"
    whose = " (the tenant's)" if limit.set_by == "tenant" else ""
    return f"{describe(limit.name)} {stood} {most}{whose}"
