"""Runs made up at random, that die at random: whatever happens, the ledger is what their journals say."""

from random import Random
from typing import Any

import pytest
from pydantic_ai import Agent, RunContext
from pydantic_ai.exceptions import ModelRetry
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.usage import RequestUsage
from tests.engine.lab import WHO, die_at

import holdfast
from holdfast import effect
from holdfast.guards.prices import PriceBook, PriceTable
from holdfast.service.check_costs import compare
from holdfast.service.list_costs import list_costs

POINTS = ("model.sending", "model.answered", "intent.before", "intent.after", "outcome.before", "outcome.after",
          "tool.entering", "append.before_send", "append.after_commit")  # fmt: skip
BOOK = PriceBook([PriceTable.model_validate({"model": "priced*", "input": "3", "output": "15", "cache_read": "0.3"})])


def model(r: Random, name: str, script: list[Any]) -> FunctionModel:
    def answer(messages: Any, info: Any) -> ModelResponse:
        done = sum(isinstance(message, ModelResponse) for message in messages)
        turn = script[min(done, len(script) - 1)]
        parts = [TextPart(turn)] if isinstance(turn, str) else [ToolCallPart(*call) for call in turn]
        size = r.randrange(10_000)
        usage = RequestUsage(input_tokens=size, cache_read_tokens=r.randrange(size + 1), output_tokens=r.randrange(999))
        return ModelResponse(parts=parts, usage=usage, model_name=name if r.random() < 0.8 else "unheard-of")

    return FunctionModel(answer, model_name=name)


def script(r: Random) -> list[Any]:
    turns = list[Any]()
    for turn in range(r.randrange(1, 4)):
        calls = [
            (r.choice(["cheap", "dear", "moody", "ask"]), {"n": n}, f"c{turn}{n}") for n in range(r.randrange(1, 4))
        ]
        turns.append(calls)
    return [*turns, "done"]


def agents(r: Random) -> tuple[Agent[Any, Any], Agent[Any, Any]]:
    inner = Agent(model(r, "priced-inner", [[("cheap", {"n": 1}, "i1")], "four"]), name="inner")
    outer = Agent(model(r, "priced-outer", script(r)), retries=9, deps_type=None)

    @effect.pure
    @holdfast.costs("0.01")
    async def cheap(n: int) -> str:
        return str(n)

    inner.tool_plain(cheap)
    outer.tool_plain(cheap)

    @outer.tool_plain
    @effect.idempotent
    async def dear(n: int) -> str:
        holdfast.charge(f"1.{n}")
        holdfast.charge("0.000001")
        return str(n)

    @outer.tool_plain
    @holdfast.costs("0.002")
    @effect.pure
    def moody(n: int) -> str:
        if r.random() < 0.5:
            raise ModelRetry("no")
        return str(n)

    @outer.tool
    @effect.delegate
    async def ask(ctx: RunContext[None], n: int) -> str:
        return (await inner.run(f"{n}+2", usage=ctx.usage)).output

    return outer, inner


@pytest.mark.parametrize("seed", range(12))
async def test_the_ledger_is_what_journals_say(make_lab, seed):
    r = Random(seed)
    outer, inner = agents(r)
    lab = await make_lab(outer, agents=[inner], stream=False)
    lab.prices = BOOK
    await lab.start(labels={"feature": r.choice(["a", "b"])})
    for _ in range(40):
        ended = await lab.work(probe=die_at(r.choice(POINTS), r.randrange(1, 6)))
        assert await compare(lab.services, WHO, lab.run) == []
        if ended == "finished":
            break
    else:
        assert await lab.work() == "finished"
    await lab.expect("succeeded")
    whole = (await list_costs(lab.services, WHO)).total
    for by in ("model", "tool", "feature", "task", "user", "day", "session", "run"):
        view = await list_costs(lab.services, WHO, by=[by, "tool"])
        for name in ("cost_usd", "unpriced", "input_tokens", "tool_calls", "stored_bytes"):
            assert sum(getattr(row, name) for row in view.items) == getattr(whole, name), (by, name)
