"""What comes of a question that nobody answers, and of an answer that is not to what was asked."""

from typing import Any

import psycopg
import pytest
from pydantic_ai.messages import ModelRequest, ToolReturnPart
from tests.engine.lab import WHO
from tests.engine.test_seam_approvals import gated, pending

from holdfast import Approving
from holdfast.domain import events as ev
from holdfast.service.decide_approval import decide_approval
from holdfast.store.leases import tick
from holdfast.testing import FakeClock


async def unanswered(make_lab: Any, on_expiry: Any, **more: Any) -> Any:
    lab = await make_lab(gated(more.pop("ledger", []), **more), approving=Approving(expires_s=60, on_expiry=on_expiry))
    await lab.start()
    assert await lab.work() == "parked"
    with FakeClock(lab.admin_url) as clock:
        clock.advance(61)
        assert (await tick(lab.worker_db, 100)).expired == 1
    return lab


async def test_the_run_fails_where_its_task_says_so(make_lab):
    ledger: list[Any] = []
    lab = await unanswered(make_lab, "fail_run", ledger=ledger)
    assert await lab.work() == "finished"
    assert ledger == []
    assert await lab.failure() == "ApprovalExpired: Nobody answered in time whether 'pay' may be called. at "


async def test_else_the_model_is_told_that_it_may_not(make_lab):
    ledger: list[Any] = []
    seen: list[Any] = []
    lab = await unanswered(make_lab, "reject", ledger=ledger, seen=seen)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert ledger == []
    parts = [part for message in seen[-1] if isinstance(message, ModelRequest) for part in message.parts]
    [told] = [part for part in parts if isinstance(part, ToolReturnPart)]
    assert (told.outcome, "Nobody answered in time" in str(told.content)) == ("denied", True)
    [decided] = await lab.of(ev.ApprovalDecided)
    assert (decided.verdict, decided.by, decided.on_expiry) == ("rejected", "expiry", "reject")


TAMPERED = {
    "the digest": "jsonb_set(body::jsonb, '{digest}', to_jsonb(repeat('0', 64)))",
    "the editor": "jsonb_set(body::jsonb, '{edits,0,by}', '\"somebody\"')",
    "the edited arguments": "jsonb_set(body::jsonb, '{edits,0,args}', to_jsonb(repeat('0', 64)))",
    "no edit": "jsonb_set(body::jsonb, '{edits}', '[]')",
}


@pytest.mark.parametrize("what", TAMPERED)
async def test_an_approval_whose_edits_do_not_lead_to_it_lets_nothing_pass(make_lab, what):
    ledger: list[Any] = []
    lab = await make_lab(gated(ledger))
    await lab.start()
    await lab.work()
    [task] = await pending(lab)
    await decide_approval(lab.services, WHO, task.id, "approved", digest=task.digest, args={"amount": 1, "note": "n"})
    with psycopg.connect(lab.admin_url, autocommit=True) as connection:
        told = "where run = %s and kind = 'decision'"
        changed = connection.execute(f"update holdfast.signals set body = ({TAMPERED[what]})::text {told}", [lab.run])
        assert changed.rowcount == 1
    assert await lab.work() == "finished"
    assert ledger == []
    assert "ApprovalMismatch" in await lab.failure()
