"""Models that stand in for each other: the journal says who answered, who did not and why, and replay is exact."""

from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.capabilities import ModelFallback
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.usage import RequestUsage
from tests.engine.agents import scripted
from tests.engine.lab import WHO, Died, Lab, die_at

from holdfast import effect
from holdfast.domain import events as ev
from holdfast.domain.stored import dump
from holdfast.engine.ending import usage_of
from holdfast.service.show_run import show_run


class Provider:
    """Three models: one is down, one refuses, one serves. Counts who was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def down(self, messages: Any, info: Any) -> ModelResponse:
        self.asked.append("down")
        raise ModelHTTPError(503, "first", "quota of account 4711 is used up")

    def refusing(self, messages: Any, info: Any) -> ModelResponse:
        self.asked.append("refusing")
        return ModelResponse(parts=[TextPart("no")], usage=RequestUsage(input_tokens=1000, output_tokens=7))

    def agent(self, kind: str) -> Agent[Any, Any]:
        models = (FunctionModel(self.down, model_name="down"), FunctionModel(self.refusing, model_name="refusing"))
        serving = scripted([("look", {}, "l1")], "done")
        on: Any = [ModelHTTPError, _refused]
        made: Agent[Any, Any] = (
            Agent(FallbackModel(*models, serving, fallback_on=on))
            if kind == "model"
            else Agent(models[0], capabilities=[ModelFallback(models[1], serving, fallback_on=on)])
        )

        @made.tool_plain
        @effect.pure
        def look() -> str:
            return "seen"

        return made


def _refused(response: ModelResponse) -> bool:
    return any(isinstance(part, TextPart) and part.content == "no" for part in response.parts)


async def story(lab: Lab) -> list[Any]:
    return [step for step in (await show_run(lab.services, WHO, lab.run)).steps if step.kind == "model"]


@pytest.mark.parametrize("kind", ["model", "capability"])
async def test_the_journal_says_who_answered_and_why_the_others_did_not(make_lab, kind):
    lab = await make_lab(Provider().agent(kind), stream=False)
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    for responded in await lab.of(ev.ModelResponded):
        assert responded.model.startswith("function:")
        down, refusing = responded.failed
        assert (down.model, down.outcome, down.error, down.usage) == ("down", "error", "ModelHTTPError", None)
        assert (refusing.model, refusing.outcome, refusing.usage.input_tokens) == ("refusing", "rejected", 1000)
        # Why, in the provider's words: content, and not in the event.
        assert "4711" not in dump(responded).decode()
        assert "4711" in str(await lab.content(responded.response))
    first = (await story(lab))[0]
    assert first.why == f"down failed (ModelHTTPError), refusing was rejected, {responded.model} answered"


@pytest.mark.parametrize("kind", ["model", "capability"])
async def test_replay_is_exact_and_asks_nobody_again(make_lab, kind):
    bare = await Provider().agent(kind).run("hi")
    provider = Provider()
    lab = await make_lab(provider.agent(kind), stream=False)
    await lab.start()
    # Before the second step's first request.
    assert isinstance(await lab.work(probe=die_at("intent.before", 3 if kind == "model" else 5)), Died)
    asked = list(provider.asked)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert provider.asked == [*asked, "down", "refusing"]
    [succeeded] = await lab.of(ev.RunSucceeded)
    assert succeeded.usage == usage_of(bare)


@pytest.mark.parametrize("kind", ["model", "capability"])
async def test_a_run_that_no_model_answers_says_of_each_why(make_lab, kind):
    provider = Provider()
    models = [FunctionModel(provider.down, model_name=name) for name in ("one", "two")]
    made: Agent[Any, Any] = (
        Agent(FallbackModel(*models)) if kind == "model" else Agent(models[0], capabilities=[ModelFallback(models[1])])
    )
    lab = await make_lab(made, stream=False)
    await lab.start()
    assert await lab.work() == "finished"
    assert lab.state == "failed"
    failure = await lab.failure()
    assert "one: ModelHTTPError: status_code: 503" in failure
    assert "two: ModelHTTPError: status_code: 503" in failure
    if kind == "model":
        [failed] = await lab.of(ev.ModelFailed)
        assert [(one.model, one.error) for one in failed.failed] == [
            ("one", "ModelHTTPError"),
            ("two", "ModelHTTPError"),
        ]
        assert "4711" in str(await lab.content(failed.message))
        [step] = await story(lab)
        assert step.why == "one failed (ModelHTTPError), two failed (ModelHTTPError)"


async def test_a_streamed_fallback_says_so_too(make_lab):
    provider = Provider()

    async def down(messages: Any, info: Any) -> Any:
        provider.down(messages, info)
        yield ""

    first = FunctionModel(provider.down, stream_function=down, model_name="down")
    lab = await make_lab(Agent(FallbackModel(first, scripted("served"))))
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    [responded] = await lab.of(ev.ModelResponded)
    assert [(one.model, one.error) for one in responded.failed] == [("down", "ModelHTTPError")]
