"""`StallWatch` on an injected clock: who is named, and until when the lease may be renewed."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from holdfast.worker.stall import UNKNOWN_STALL_S, StallWatch


@dataclass
class Step:
    what: str
    name: str
    deadline: float


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def blocked_thread() -> Iterator[int]:
    """A thread that sits in a function called `charge_card`."""
    inside, leave = threading.Event(), threading.Event()

    def charge_card() -> None:
        inside.set()
        leave.wait(60)

    thread = threading.Thread(target=charge_card)
    thread.start()
    assert inside.wait(10)
    assert thread.ident is not None
    yield thread.ident
    leave.set()
    thread.join()


def pass_time(watch: StallWatch, clock: Clock, seconds: float) -> bool:
    """Look as often as the lease thread does, without a beat; what the last look allowed."""
    allowed = True
    until = clock.now + seconds
    while clock.now < until:
        clock.now += watch.interval_s
        allowed = watch.look()
    return allowed


def test_a_beating_loop_is_not_warned_of(blocked_thread: int):
    clock = Clock()
    watch = StallWatch(thread=blocked_thread, warn_s=1, steps=list, clock=clock)
    with capture_logs() as logs:
        for _ in range(40):
            clock.now += 0.25
            watch.beat()
            assert watch.look()
    assert logs == []


def test_the_tool_on_the_stack_is_named_and_the_line(blocked_thread: int):
    clock = Clock()
    steps = [Step("model", "gpt", 1600), Step("tool", "look_up", 1300), Step("tool", "charge_card", 1010)]
    watch = StallWatch(thread=blocked_thread, warn_s=1, steps=lambda: steps, clock=clock)
    with capture_logs() as logs:
        assert pass_time(watch, clock, 3)
    assert [log["event"] for log in logs] == ["loop.blocked"]
    assert logs[0]["tool"] == "charge_card"
    assert logs[0]["stuck_in"].startswith(f"charge_card ({__file__}:")


def test_the_lease_is_renewable_until_the_deadline_of_the_blocking_step_only(blocked_thread: int):
    clock = Clock()
    steps = [Step("tool", "look_up", 1300), Step("tool", "charge_card", 1010)]
    watch = StallWatch(thread=blocked_thread, warn_s=1, steps=lambda: steps, clock=clock)
    with capture_logs() as logs:
        assert pass_time(watch, clock, 9)
        assert not pass_time(watch, clock, 1.25)
        assert not pass_time(watch, clock, 5)
    assert [log["event"] for log in logs] == ["loop.blocked", "lease.left_to_expire"]


def test_where_the_tool_cannot_be_told_all_are_named_and_the_last_deadline_counts(blocked_thread: int):
    clock = Clock()
    steps = [Step("model", "gpt", 1600), Step("tool", "one", 1010), Step("tool", "two", 1020)]
    watch = StallWatch(thread=blocked_thread, warn_s=1, steps=lambda: steps, clock=clock)
    with capture_logs() as logs:
        assert pass_time(watch, clock, 15)
        assert not pass_time(watch, clock, 6)
    assert logs[0]["one_of"] == ["one", "two"]


def test_a_stall_outside_any_step_is_bounded_too(blocked_thread: int):
    clock = Clock()
    watch = StallWatch(thread=blocked_thread, warn_s=1, steps=list, clock=clock)
    assert pass_time(watch, clock, UNKNOWN_STALL_S - 1)
    assert not pass_time(watch, clock, 2)


def test_a_loop_that_comes_back_may_renew_again_and_is_logged(blocked_thread: int):
    clock = Clock()
    watch = StallWatch(thread=blocked_thread, warn_s=1, steps=lambda: [Step("tool", "charge_card", 1002)], clock=clock)
    with capture_logs() as logs:
        assert not pass_time(watch, clock, 4)
        watch.beat()
        assert watch.look()
    assert [log["event"] for log in logs] == ["loop.blocked", "lease.left_to_expire", "loop.free"]
    assert logs[-1]["blocked_s"] == pytest.approx(4, abs=0.5)


def test_a_process_that_was_stopped_as_a_whole_is_not_blamed_on_a_tool(blocked_thread: int):
    clock = Clock()
    watch = StallWatch(thread=blocked_thread, warn_s=1, steps=lambda: [Step("tool", "t", 1300)], clock=clock)
    with capture_logs() as logs:
        clock.now += 30
        assert watch.look()
    assert logs == []
