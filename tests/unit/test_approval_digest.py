"""What a decision is bound to: whatever is changed of it, the digest is another."""

import itertools
from dataclasses import replace
from types import SimpleNamespace
from uuid import UUID

import pytest

from holdfast.domain.approving import Edit, edited_digest
from holdfast.domain.events import ApprovalAsked
from holdfast.domain.ids import Ref
from holdfast.engine.question import binding
from holdfast.engine.question import bound as question_bound

CLAIMED = {"tenant": UUID(int=1), "run": UUID(int=2), "principal": "ann"}
CALL = {"scope": "1:c>", "step": 3, "call": "c1", "tool": "refund", "schema": "s"}
OTHER = {"tenant": UUID(int=9), "run": UUID(int=9), "step": 4}
EDITS = [Edit("aa" * 32, "ann"), Edit("bb" * 32, "ben"), Edit("cc" * 32, "cy")]


def bound(args: str = "aa", **changed: object) -> str:
    claimed = {name: changed.get(name, value) for name, value in CLAIMED.items()}
    call = {name: changed.get(name, value) for name, value in CALL.items()}
    return binding(SimpleNamespace(claimed=SimpleNamespace(**claimed)), SimpleNamespace(**call), args)


@pytest.mark.parametrize("field", [*CLAIMED, *CALL])
def test_each_field_of_what_is_asked_is_part_of_it(field):
    assert bound(**{field: OTHER.get(field, "other")}) != bound()


def test_so_are_the_arguments():
    assert bound("ab") != bound()


def test_so_is_all_that_is_shown_of_a_question():
    recorder = SimpleNamespace(
        claimed=SimpleNamespace(**CLAIMED), task=SimpleNamespace(approving=SimpleNamespace(expires_s=60))
    )
    call = SimpleNamespace(**CALL)
    asked = ApprovalAsked(
        approval=UUID(int=3), scope="", step=3, call="c1", tool="refund", args=Ref("aa"), digest="", sources=Ref("bb")
    )
    changed = {"args": Ref("ab"), "received": Ref("cc"), "ask": "admin", "round": 2, "sources": Ref("bc")}
    found = {question_bound(recorder, call, replace(asked, **{name: to})) for name, to in changed.items()}
    found |= {question_bound(recorder, call, asked), question_bound(recorder, call, replace(asked, sources=None))}
    assert len(found) == len(changed) + 2


def test_what_moves_from_one_field_to_the_next_is_seen():
    names = [name for name in CALL if name != "step"]
    for one, next_ in itertools.pairwise(names):
        moved = {one: f"{CALL[one]}x", next_: str(CALL[next_])}
        back = {one: str(CALL[one]), next_: f"x{CALL[next_]}"}
        assert bound(**moved) != bound(**back)


def test_each_part_of_each_edit_is_part_of_what_it_leads_to():
    whole = edited_digest("0" * 64, EDITS)
    assert edited_digest("1" + "0" * 63, EDITS) != whole
    found = {whole}
    for nth, edit in enumerate(EDITS):
        for other in (edit._replace(args="dd" * 32), edit._replace(by="eve")):
            found.add(edited_digest("0" * 64, [*EDITS[:nth], other, *EDITS[nth + 1 :]]))
        found.add(edited_digest("0" * 64, [*EDITS[:nth], *EDITS[nth + 1 :]]))
    found |= {edited_digest("0" * 64, order) for order in itertools.permutations(EDITS)}
    assert len(found) == 1 + 2 * len(EDITS) + len(EDITS) + 5


def test_without_edits_it_is_what_was_asked():
    assert edited_digest("0" * 64, []) == "0" * 64
