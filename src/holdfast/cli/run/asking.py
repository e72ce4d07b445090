"""Asking the person at the terminal for a decision."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

from holdfast.cli.approvals.deciding import limits_of
from holdfast.cli.teller import preview
from holdfast.domain.errors import AlreadyDecided, InvalidInput
from holdfast.domain.limits import describe
from holdfast.service.answer_question import answer_question
from holdfast.service.approval_shapes import to_raise
from holdfast.service.decide_approval import (
    AlreadyVoted,
    DigestMismatch,
    MayNotDecide,
    decide_approval,
    resolve_effect,
)
from holdfast.service.decide_escalation import decide_escalation

if TYPE_CHECKING:
    from holdfast.cli.teller import Teller
    from holdfast.service.approval_shapes import ApprovalView
    from holdfast.service.services import Services


async def ask_for(services: Services, task: ApprovalView, teller: Teller) -> bool:
    """Ask, and decide as answered. False where the person leaves it open."""
    teller.say(f"   {task.tool} {preview(task.args, None)}")
    if task.refused or task.voted:
        teller.say(f"   It asks {task.ask}: {len(task.agreed)} of {task.needed} agreed. Somebody else has to.")
        return False
    try:
        return await _ASKING[task.kind](services, task, teller)
    except EOFError:
        return False
    except InvalidInput as error:
        teller.say(str(error))
        return await ask_for(services, task, teller)
    except (AlreadyDecided, MayNotDecide, AlreadyVoted, DigestMismatch) as error:
        # Roles were changed, or the arguments edited, while the question stood here; or somebody was first.
        teller.say(str(error))
        return isinstance(error, AlreadyDecided)


async def _approval(services: Services, task: ApprovalView, teller: Teller) -> bool:
    answer = await _one_of(teller, "   Approve? [y]es, [n]o, [l]eave it open: ", "ynl")
    if answer == "l":
        return False
    if answer == "y":
        now = await decide_approval(services, services.caller, task.id, "approved", digest=task.digest)
        return now.state != "pending"
    reason = await _line(teller, "   Why not? (the model is told; may be empty): ")
    await decide_approval(services, services.caller, task.id, "rejected", digest=task.digest, reason=reason or None)
    return True


async def _question(services: Services, task: ApprovalView, teller: Teller) -> bool:
    said = await _one_of(teller, "   [a]nswer, answer with [j]son, [d]ecline, [l]eave it open: ", "ajdl")
    if said == "l":
        return False
    if said == "d":
        reason = await _line(teller, "   Why not? (the model is told; may be empty): ")
        await answer_question(services, services.caller, task.id, "declined", digest=task.digest, reason=reason or None)
        return True
    answer = await _json(teller, "   The answer, as JSON: ") if said == "j" else await _line(teller, "   The answer: ")
    await answer_question(services, services.caller, task.id, "answered", digest=task.digest, answer=answer)
    return True


async def _in_doubt(services: Services, task: ApprovalView, teller: Teller) -> bool:
    answer = await _one_of(teller, "   [d]one, [n]ot done: run it, [f]ail the run, [l]eave it open: ", "dnfl")
    if answer == "l":
        return False
    if answer == "d":
        result = await _json(teller, "   Its result, as JSON: ")
        await resolve_effect(services, services.caller, task.id, "done", digest=task.digest, result=result)
    else:
        await resolve_effect(
            services, services.caller, task.id, "not_done" if answer == "n" else "fail_run", digest=task.digest
        )
    return True


async def _in_trouble(services: Services, task: ApprovalView, teller: Teller) -> bool:
    answer = await _one_of(teller, "   [g]o on, [f]ail the run, [l]eave it open: ", "gfl")
    if answer == "l":
        return False
    if answer == "f":
        await decide_escalation(services, services.caller, task.id, "fail_run", digest=task.digest)
        return True
    limit, read = to_raise(task), None
    if limit:
        read = limits_of([f"{limit}={await _line(teller, f'   Raise {describe(limit)} to: ')}"])
    await decide_escalation(services, services.caller, task.id, "go_on", digest=task.digest, limits=read)
    return True


_ASKING = {"approval": _approval, "question": _question, "in_doubt": _in_doubt, "escalation": _in_trouble}


async def _json(teller: Teller, question: str) -> Any:
    while True:
        try:
            return json.loads(await _line(teller, question) or "null")
        except ValueError as error:
            teller.say(f"   That is not JSON: {error}.")


async def _one_of(teller: Teller, question: str, letters: str) -> str:
    while True:
        answer = (await _line(teller, question)).lower()[:1]
        if answer and answer in letters:
            return answer


async def _line(teller: Teller, question: str) -> str:
    """A line from standard input, read so that Ctrl-C still ends the program.

    Raises:
        EOFError: there are no more.
    """
    teller.ask(question)
    loop = asyncio.get_running_loop()
    got: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        line = sys.stdin.readline()
        if not got.done():
            got.set_result(line)

    loop.add_reader(sys.stdin, read)
    try:
        line = await got
    finally:
        loop.remove_reader(sys.stdin)
    if not line:
        raise EOFError
    return line.strip()
