from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
from openai import AsyncOpenAI
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider


@pytest.fixture(params=["chat", "responses"])
def api(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["whole", "stream"])
def stream(request):
    return request.param


@pytest.fixture
def model_on(api):
    """A context: a real Pydantic AI model that talks to a server, and its client closed at the end."""

    @asynccontextmanager
    async def model(server, name="gpt-5", *, max_retries=0, timeout_s=60):
        async with AsyncOpenAI(
            base_url=server.url, api_key="test", max_retries=max_retries, timeout=timeout_s
        ) as client:
            kind = OpenAIChatModel if api == "chat" else OpenAIResponsesModel
            yield kind(name, provider=OpenAIProvider(openai_client=client))

    return model


@pytest.fixture
def ask(stream):
    """Runs an agent to its end, streaming or not, and returns its result."""

    async def run(agent, prompt, **options):
        if not stream:
            return await agent.run(prompt, **options)
        async with agent.run_stream_events(prompt, **options) as events:
            async for event in events:
                if event.event_kind == "agent_run_result":
                    return event.result
        raise AssertionError("the stream ended without a result")

    return run
