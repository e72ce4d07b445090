"""What a journal says of its conversation: what was withheld stands where it stood, unless code rewrote the rest."""

from uuid import UUID

from holdfast.domain import events as ev
from holdfast.domain.conversation import apart_of, conversation, given, own

OLD, RUN = UUID(int=1), UUID(int=2)
WHOLE = [f"{OLD}/{letter}" for letter in "abcd"]


def gone(message: str, stand_in: str | None = None) -> ev.Withheld:
    return ev.Withheld(message=message, stand_in=stand_in, invalidation=UUID(int=9), reason="why")  # pyright: ignore[reportArgumentType]


def entered(*withheld: ev.Withheld) -> ev.HistoryEntered:
    whole = ev.Messages(add=WHOLE) if withheld else ev.Messages()
    return ev.HistoryEntered(of=OLD, count=len(withheld), withheld=list(withheld), whole=whole)


def ended(*refs: str) -> ev.RunSucceeded:
    return ev.RunSucceeded(output="o", history=ev.Messages(add=list(refs)), usage=ev.Usage())  # pyright: ignore[reportArgumentType]


def test_a_run_adds_to_what_it_was_given():
    found = conversation(RUN, [entered(), ended(*WHOLE, "x", "y")], {})
    assert found == [*WHOLE, f"{RUN}/x", f"{RUN}/y"]
    assert own(RUN, found) == [f"{RUN}/x", f"{RUN}/y"]


def test_what_was_withheld_stands_where_it_stood():
    withheld = [gone(WHOLE[0]), gone(WHOLE[2], "s")]
    assert given(WHOLE, withheld) == [WHOLE[1], "s", WHOLE[3]]
    found = conversation(RUN, [entered(*withheld), ended(WHOLE[1], "s", WHOLE[3], "x")], {})
    assert found == [*WHOLE, f"{RUN}/x"], "and what stood in its place is no message of the conversation"


def test_where_code_rewrote_what_was_given_that_is_the_conversation():
    found = conversation(RUN, [entered(gone(WHOLE[0])), ended("summary", "x")], {})
    assert found == [f"{RUN}/summary", f"{RUN}/x"]


def test_lists_that_are_too_long_for_an_event_are_found_apart():
    one = ev.HistoryEntered(of=OLD, count=1, more="m", whole=ev.Messages(more="w"))  # pyright: ignore[reportArgumentType]
    last = ev.RunSucceeded(output="o", history=ev.Messages(more="h"), usage=ev.Usage())  # pyright: ignore[reportArgumentType]
    assert [*apart_of(one), *apart_of(last)] == ["m", "w", "h"]
    withheld = [{"message": WHOLE[0], "stand_in": None, "invalidation": str(UUID(int=9)), "reason": "why"}]
    apart = {"m": withheld, "w": WHOLE, "h": [*WHOLE[1:], "x"]}
    assert conversation(RUN, [one, last], apart) == [*WHOLE, f"{RUN}/x"]


def test_the_lists_of_sub_agents_are_not_the_conversation():
    inner = ev.ModelRequested(scope="t/1/", step=1, attempt=1, model="m", messages=ev.Messages(add=["inner"]))
    assert conversation(RUN, [ended("x"), inner], {}) == [f"{RUN}/x"]
