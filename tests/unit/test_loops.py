"""What is a loop and what is not, and that it comes out the same wherever a worker took over."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain import events as ev
from holdfast.domain.errors import UserError
from holdfast.domain.ids import Ref
from holdfast.domain.loops import KINDS, Loop, Loops
from holdfast.domain.repeats import Repeats

TIGHT = Loops(same_call=3, same_error=3, cycle=3, no_progress=4)
_SPACE = UUID(int=0)


@dataclass
class Run:
    """A run whose journal a test writes answer by answer, with the detector that watches it."""

    loops: Loops | None = TIGHT
    step: int = 0
    scope: str = ""
    journal: list[Any] = field(default_factory=list)
    repeats: Repeats = field(init=False)

    def __post_init__(self) -> None:
        self.repeats = Repeats(self.loops)

    def write(self, fact: Any) -> None:
        self.journal.append(fact)
        self.repeats.saw([fact])

    def answer(self, *calls: str) -> list[Loop | None]:
        """One answer: each call as `tool:args=result`, `!result` for an error, `?` for none that is known.

        Returns: what is found for each. A call that the model is told of is not made; one that stops the run neither.
        """
        self.step += 1
        found: list[Loop | None] = []
        for position, one in enumerate(calls):
            (called, _, result), name = one.partition("="), f"c{position}"
            tool, _, args = called.partition(":")
            loop = self.repeats.look(self.scope, self.step, tool, args)
            found.append(loop)
            if loop is None:
                self.end(name, tool, args, result)
            elif not loop.is_told:
                self.write(told(self, name, tool, args, loop))
                self.end(name, tool, args, "!" + loop.to_model)
        return found

    def end(self, name: str, tool: str, args: str, result: str) -> None:
        outcome: Any = "deferred" if result == "?" else "failed" if result.startswith("!") else "value"
        self.write(
            ev.ToolFinished(
                scope=self.scope,
                step=self.step,
                call=name,
                tool=tool,
                outcome=outcome,
                result=Ref(result),
                model_args=Ref(args),
            )
        )

    def say(self, *script: str) -> list[str]:
        """Answers of one call each; for each how it was taken: `made`, `told KIND` or `stops KIND`."""
        return [as_said(found) for one in script for found in self.answer(one)]

    def go_on(self) -> None:
        self.write(ev.EscalationDecided(approval=_SPACE, way="go_on", by="somebody"))


def told(run: Run, name: str, tool: str, args: str, loop: Loop) -> ev.LoopDetected:
    return ev.LoopDetected(
        scope=run.scope,
        step=run.step,
        call=name,
        tool=tool,
        args=Ref(args),
        kind=loop.kind,
        times=loop.times,
        round=list(loop.round),
        loops=list(loop.keys),
        why=Ref(loop.to_model),
    )


def as_said(found: Loop | None) -> str:
    return "made" if found is None else f"{'stops' if found.is_told else 'told'} {found.kind}"


# --- the same call -------------------------------------------------------------------------------------------------


def test_the_same_call_with_the_same_result_is_told_once_then_stops():
    run = Run()
    assert run.say(*["look:1=a"] * 5) == ["made"] * 3 + ["told same_call", "stops same_call"]
    [loop] = run.answer("look:1=a")
    assert loop is not None
    assert (loop.times, loop.tool) == (3, "look")
    assert loop.seen == "'look' was called with the same arguments 3 times in a row and gave the same result each time"


def test_a_result_that_changes_is_no_loop():
    assert Run().say(*(f"poll:1={n}" for n in range(50))) == ["made"] * 50
    assert Run().say(*(f"poll:1={n % 2}" for n in range(50))) == ["made"] * 50, "busy, waiting, busy, waiting"


def test_other_arguments_or_something_new_in_between_begin_anew():
    assert Run().say("a:1=x", "a:1=x", "a:2=x", "a:1=x", "a:1=x", "b:1=y") == ["made"] * 6
    run = Run()
    for n in range(20):
        assert run.answer("a:1=x", f"b:{n}=y") == [None, None], "beside it the run gets on"


def test_equal_calls_of_one_answer_count_once_and_are_told_together():
    run = Run()
    assert run.answer(*["a:1=x"] * 9) == [None] * 9, "it had seen none of these results"
    assert run.answer(*["a:1=x"] * 9) == run.answer(*["a:1=x"] * 9) == [None] * 9
    assert [as_said(one) for one in run.answer(*["a:1=x"] * 2, "b:1=y")] == ["told same_call"] * 2 + ["made"]
    assert run.say(*["a:1=x"] * 3) == ["made"] * 3, "the answer did something new beside it"


def test_equal_calls_of_one_answer_with_different_results_are_no_loop():
    run = Run()
    for n in range(9):
        assert run.answer(f"a:1={n}", f"a:1={n + 1}") == [None, None]


def test_a_call_without_a_known_result_is_no_loop():
    assert Run().say(*["ask:1=?"] * 30) == ["made"] * 30


def test_what_people_reject_is_a_result():
    run = Run()
    for _ in range(3):
        run.step += 1
        assert run.repeats.look("", run.step, "pay", "9") is None
        rejected(run)
    run.step += 1
    found = run.repeats.look("", run.step, "pay", "9")
    assert found is not None
    assert (found.kind, found.is_told) == ("same_call", False)


def rejected(run: Run) -> None:
    approval = uuid5(_SPACE, str(run.step))
    run.end("c0", "pay", "9", "?")
    run.write(
        ev.ApprovalAsked(approval=approval, scope="", step=run.step, call="c0", tool="pay", args=Ref("nine"), digest="")
    )
    run.write(ev.ApprovalDecided(approval=approval, call="c0", verdict="rejected", by="somebody"))


# --- the same error ------------------------------------------------------------------------------------------------


def test_the_same_error_whatever_the_arguments_is_told_then_one_more_may_try():
    run = Run()
    script = [f"pay:{n}=!no funds" for n in range(6)]
    assert run.say(*script) == ["made"] * 3 + ["told same_error", "made", "stops same_error"]


def test_the_try_after_it_was_told_may_be_the_one_that_does_it():
    run = Run()
    assert run.say(*(f"pay:{n}=!no funds" for n in range(4)))[-1] == "told same_error"
    assert run.say("pay:7=paid", "pay:8=!no funds", "pay:9=!no funds", "pay:10=!no funds") == ["made"] * 4
    assert run.say("pay:11=!no funds") == ["stops same_error"], "told once"


def test_another_error_or_a_success_begins_anew_and_other_tools_do_not():
    run = Run()
    assert run.say("p:1=!x", "p:2=!x", "p:3=!y", "p:4=!x", "p:5=!x", "p:6=ok", "p:7=!x", "p:8=!x") == ["made"] * 8
    assert run.say("other:1=o", "p:9=!x", "other:2=o", "p:10=!x") == ["made"] * 3 + ["told same_error"]


def test_side_by_side_the_same_error_counts_once():
    run = Run()
    run.answer(*(f"p:{n}=!x" for n in range(9)))
    assert run.answer("p:10=!x", "p:11=!x") == run.answer("p:12=!x", "p:13=!x") == [None, None]
    assert [as_said(one) for one in run.answer("p:14=!x", "p:15=!x")] == ["told same_error"] * 2


def test_told_of_the_same_failing_call_the_model_may_try_other_arguments():
    run = Run()
    assert run.say(*["p:1=!x"] * 4, "p:2=!x", "p:3=!x") == ["made"] * 3 + [
        "told same_call",
        "made",
        "stops same_error",
    ]


# --- cycles --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [2, 3, 8])
def test_rounds_of_the_same_calls_are_told_then_stop(length):
    run = Run(Loops(same_call=3, cycle=3, no_progress=100))
    round_ = [f"t{n}:1=r{n}" for n in range(length)]
    assert run.say(*round_ * 3) == ["made"] * 3 * length
    assert run.say(round_[0], round_[1]) == ["told cycle", "stops cycle"]
    [loop] = run.answer(round_[1])
    assert loop is not None
    assert (loop.times, loop.round) == (3, tuple(f"t{n}" for n in range(length)))


def test_out_of_the_cycle_there_is_a_way():
    run = Run(Loops(cycle=3, no_progress=100))
    assert run.say(*["a:1=x", "b:1=y"] * 3, "c:1=z", "a:1=x", "b:1=y") == ["made"] * 9


def test_a_cycle_in_which_a_result_changes_is_none():
    run = Run()
    for n in range(20):
        assert run.say("check:1=red", f"fix:1={n}") == ["made"] * 2
    run = Run()
    for n in range(20):
        assert run.say("check:1=red", f"fix:{n}=ok") == ["made"] * 2, "nor one in which a call is another"


def test_one_call_in_a_row_is_no_cycle():
    assert Run(Loops(same_call=None, cycle=3, no_progress=None)).say(*["a:1=x"] * 40) == ["made"] * 40


# --- no progress ---------------------------------------------------------------------------------------------------


def test_answers_that_bring_nothing_new_are_no_progress():
    run = Run(Loops(same_call=3, cycle=3, no_progress=6))
    run.say("a:1=x", "b:1=y", "c:1=z")
    assert run.say("a:1=x", "c:1=z", "a:1=x", "b:1=y", "b:1=y", "c:1=z") == ["made"] * 6
    assert run.say("d:1=new", "a:1=x") == ["made"] * 2, "what was not made before may be made"
    run.say("b:1=y", "b:1=y", "a:1=x", "c:1=z", "c:1=z")
    assert run.say("a:1=x", "b:1=y") == ["told no_progress", "stops no_progress"]


# --- what applies to all of them -----------------------------------------------------------------------------------


def test_tools_that_may_be_repeated_are_exempt():
    run = Run(Loops(same_call=3, no_progress=3, exempt="poll"))
    assert run.say(*["poll:1=pending"] * 50) == ["made"] * 50
    assert run.say(*["wait:30=waited", "poll:1=pending"] * 20) == ["made"] * 40, "and so is what waits in between"


def test_off_it_finds_nothing():
    assert Run(None).say(*["a:1=x"] * 99) == ["made"] * 99
    off = Loops(same_call=None, same_error=None, cycle=None, no_progress=None)
    assert Run(off).say(*["a:1=!x"] * 99) == ["made"] * 99


def test_told_of_one_loop_it_is_told_of_another_but_not_for_ever():
    run = Run()
    for letter in "abc":
        assert run.say(*[f"{letter}:1=x"] * 4)[-1] == "told same_call"
    assert run.say(*["d:1=x"] * 4)[-1] == "stops same_call"


def test_back_in_the_loop_after_something_else_it_is_not_told_again():
    run = Run()
    run.say(*["a:1=x"] * 4, "b:1=y")
    assert run.say(*["a:1=x"] * 4) == ["made"] * 3 + ["stops same_call"]


def test_people_let_it_go_on_with_a_fresh_allowance():
    run = Run()
    assert run.say(*["a:1=x"] * 5)[-1] == "stops same_call"
    run.go_on()
    run.step -= 1  # the call that was stopped comes again
    assert run.say(*["a:1=x"] * 5) == ["made"] * 3 + ["told same_call", "stops same_call"]


def test_a_message_from_people_is_something_new():
    run = Run()
    run.say(*["a:1=x"] * 3)
    run.write(ev.MessageReceived(message=Ref("m"), by="somebody"))
    assert run.say("a:1=x") == ["made"]


def test_each_agent_is_counted_by_itself():
    run = Run()
    for n in range(9):
        run.scope, run.step = f"{n}:c>inner#1/", 0
        assert run.say(*["a:1=x"] * 3) == ["made"] * 3
    assert run.say("a:1=x") == ["told same_call"]


def test_it_stops_for_the_loop_that_it_was_told_of():
    run = Run(Loops(same_call=3, no_progress=3))
    assert run.say("a:1=x", "b:1=y", *["a:1=x"] * 3, "b:1=y")[-1] == "told no_progress"
    assert run.say("a:1=x") == ["stops no_progress"], "though it is the same call in a row as well"


def test_what_comes_late_of_an_answer_that_is_over_changes_nothing():
    run = Run()
    run.say(*["a:1=x"] * 3, "b:1=y", *["a:1=x"] * 2)
    now, run.step = run.step, 1
    run.end("late", "a", "1", "another")
    run.step = now
    assert run.say("a:1=x", "a:1=x") == ["made", "told same_call"]
    assert run.repeats.look("", 2, "a", "1") is None, "what became of it is decided"


def test_sensible_by_default():
    loops = Loops()
    assert loops.thresholds() == {"same_call": 5, "same_error": 5, "cycle": 4, "no_progress": 10}
    assert Run(loops).say(*["a:1=x"] * 7) == ["made"] * 5 + ["told same_call", "stops same_call"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrong", [0, 1, -1, True, 2.5, "3"])
def test_what_is_no_number_of_repetitions_is_refused_by_name(kind, wrong):
    with pytest.raises(UserError, match=kind):
        Loops(**{kind: wrong})


# --- whatever happens ----------------------------------------------------------------------------------------------

calls = st.builds(
    "{}:{}={}{}".format,
    st.sampled_from("ab"),
    st.sampled_from("12"),
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["x", "x", "x", "y", "?"]),
)
answers = st.lists(st.lists(calls, min_size=1, max_size=3), max_size=40)


@given(st.lists(st.lists(st.sampled_from("xy!?"), min_size=1, max_size=4), max_size=40), st.booleans())
def test_calls_that_all_differ_are_never_a_loop(script: list[list[str]], succeed: bool):
    run, number = Run(Loops(same_call=2, same_error=None if not succeed else 2, cycle=2, no_progress=2)), 0
    for answer in script:
        for result in answer:
            number += 1
            shown = result if not succeed or result != "!" else "x"
            assert run.answer(f"a:{number}={shown}") == [None]


@given(st.lists(st.lists(calls, min_size=1, max_size=3), max_size=40))
def test_a_run_is_stopped_by_nothing_that_it_was_not_told_of(script: list[list[str]]):
    run, tellings = Run(), set[str]()
    for answer in script:
        for found in run.answer(*answer):
            if found is not None and found.is_told:
                assert tellings.intersection(found.keys) or len([e for e in run.journal if is_told(e)]) >= 3
        tellings |= {key for event in run.journal if is_told(event) for key in event.loops}


def is_told(event: Any) -> bool:
    return isinstance(event, ev.LoopDetected)


@given(answers, st.data())
def test_it_comes_out_the_same_wherever_it_is_taken_up_again(script: list[list[str]], data: st.DataObject):
    run = Run()
    for answer in script:
        run.answer(*answer)
    cut = data.draw(st.integers(0, len(run.journal)))
    resumed = Repeats.of(TIGHT, run.journal[:cut])
    resumed.saw(run.journal[cut:])
    at_once = Repeats.of(TIGHT, run.journal)
    for step in (run.step, run.step + 1):
        for tool in "ab":
            for args in "12":
                asked = ("", step, tool, args)
                assert run.repeats.look(*asked) == resumed.look(*asked) == at_once.look(*asked)


@given(answers, st.randoms())
def test_the_order_in_which_calls_of_an_answer_end_makes_no_difference(script: list[list[str]], random: Any):
    run = Run()
    for answer in script:
        run.answer(*answer)
    by_step = dict[int, list[Any]]()
    for event in run.journal:
        by_step.setdefault(event.step, []).append(event)
    mixed = list[Any]()
    for events in by_step.values():
        told_, rest = [e for e in events if is_told(e)], [e for e in events if not is_told(e)]
        random.shuffle(rest)
        random.shuffle(told_)
        mixed += told_ + rest  # what was told comes before the outcome that says so
    other = Repeats.of(TIGHT, mixed)
    for tool in "ab":
        for args in "12":
            assert other.look("", run.step + 1, tool, args) == run.repeats.look("", run.step + 1, tool, args)


@given(st.integers(2, 6), st.integers(2, 6), st.integers(2, 12))
def test_whoever_only_repeats_is_told_and_stopped_before_long(length: int, threshold: int, no_progress: int):
    run = Run(Loops(same_call=threshold, same_error=threshold, cycle=threshold, no_progress=no_progress))
    said = run.say(*[f"t{n}:1=x" for n in range(length)] * 40)
    stopped = next(n for n, one in enumerate(said) if one.startswith("stops"))
    assert any(one.startswith("told") for one in said[:stopped])
    assert stopped <= length + max(no_progress, length * threshold) + 2
