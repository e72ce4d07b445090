"""`holdfast halt ls` and `holdfast halt show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.cli.screen import clock, err, out, print_json, table
from holdfast.cli.services import with_services
from holdfast.service import halts as use

if TYPE_CHECKING:
    from datetime import datetime

    from holdfast.service.halt_views import HaltPage, HaltReport, HaltView, InFlightView
    from holdfast.service.services import Services
    from holdfast.settings import Settings


def list_halts(settings: Settings, *, in_force: bool, limit: int, after: str | None, as_json: bool) -> None:
    """Print a page of halts."""

    async def act(services: Services) -> HaltPage:
        return await use.list_halts(services, services.caller, in_force=in_force, cursor=after, limit=limit)

    page = with_services(settings, act, waiting=tell_refused)
    if as_json:
        print_json(page)
        return
    made = table("id", "halted", "since", "until", "by", "reason")
    for one in page.items:
        made.add_row(str(one.id), _what(one), clock(one.at), _until(one), one.by_name, one.reason)
    out().print(made)
    if page.next:
        out().print(f"More: --after {page.next}", style="dim")


def print_report(report: HaltReport) -> None:
    """Print a halt for people."""
    screen = out()
    state = "in force" if report.in_force else f"ended by {report.lifted_by}"
    screen.print(f"halt {report.id}: {_what(report)}, {state}", markup=False)
    screen.print(f"  declared {clock(report.at)} by {report.by_name}: {report.reason}", markup=False)
    if report.expires_at is not None and report.in_force:
        screen.print(f"  ends by itself {clock(report.expires_at)}")
    for name, at in three_times(report):
        screen.print(f"  {name:<29}{_when(at, report.at)}")
    screen.print(f"  {report.workers} worker processes know of it")
    for one in report.silent:
        lost = "" if one.alive else "; its lease has run out, it begins nothing"
        screen.print(f"  not acknowledged: process {one.pid} on {one.host}{lost}", markup=False)
    for step in report.in_flight:
        screen.print(f"  still under way: {_straggler(step)}", markup=False)
    if report.in_force:
        screen.print("  settled" if report.settled else "  not settled yet")


def three_times(report: HaltReport) -> list[tuple[str, datetime | None]]:
    """The three times of a halt, named."""
    return [
        ("last new dispatch", report.last_dispatch_at),
        ("last cancellable call ended", report.last_cancelled_at),
        ("last effect finished", report.last_effect_at),
    ]


def tell_waiting(report: HaltReport) -> None:
    """Say on standard error what is waited for."""
    silent = sum(one.alive for one in report.silent)
    names = ", ".join(sorted({step.name for step in report.in_flight if step.alive}))
    err().print(
        f"waiting: {silent} worker processes have not acknowledged" + (f"; still under way: {names}" if names else ""),
        markup=False,
    )


def tell_refused(why: str) -> None:
    """Say on standard error that the database lets nobody in, and that it is asked again."""
    err().print(
        f"waiting for a connection to the database, for a minute at most; it says: {why}. A halt takes the next that "
        "is free; to end some work frees one.",
        markup=False,
    )


def _straggler(step: InFlightView) -> str:
    cannot = ", in a thread, which nothing can stop" if step.thread else ""
    lost = "" if step.alive else "; its lease has run out"
    return (
        f"{step.what} '{step.name}' ({step.recovery}{cannot}) of run {step.run}, for {step.for_s:.1f} s, "
        f"process {step.pid} on {step.host}{lost}"
    )


def _when(at: datetime | None, declared: datetime) -> str:
    if at is None:
        return "nothing was under way"
    late_s = (at - declared).total_seconds()
    return f"{clock(at)}, {abs(late_s):.3f} s {'after' if late_s >= 0 else 'before'} it was declared"


def _what(halt: HaltView) -> str:
    return f"{halt.scope} {halt.key}".strip()


def _until(halt: HaltView) -> str:
    if not halt.in_force:
        return "ended"
    return "lifted" if halt.expires_at is None else clock(halt.expires_at)
