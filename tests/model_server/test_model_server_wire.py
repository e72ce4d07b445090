"""What is on the wire, held against the official client's own types: Pydantic AI forgives more than others."""

from __future__ import annotations

import httpx2
import orjson
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from holdfast.testing import ModelServer, Script, call, calls

SCRIPT = Script([calls(call("a", text="x" * 30), call("b"), text="Let me see.")])


def post(path, **body):
    with ModelServer(SCRIPT) as server:
        return httpx2.post(server.url + path, json={"model": "gpt-5", **body})


def events(answer):
    assert answer.headers["content-type"].startswith("text/event-stream")
    return [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]


def test_chat_completions():
    messages = [{"role": "user", "content": "hi"}]
    whole = ChatCompletion.model_validate_json(post("/chat/completions", messages=messages).content, strict=True)
    options = {"stream": True, "stream_options": {"include_usage": True}}
    *sent, last = events(post("/chat/completions", messages=messages, **options))
    chunks = [ChatCompletionChunk.model_validate_json(each, strict=True) for each in sent]
    assert last == "[DONE]"
    assert chunks[-1].usage == whole.usage
    deltas = [each.choices[0].delta for each in chunks[:-1]]
    assert "".join(each.content or "" for each in deltas) == whole.choices[0].message.content
    for index, made in enumerate(whole.choices[0].message.tool_calls):
        pieces = [part for each in deltas for part in each.tool_calls or [] if part.index == index]
        assert (pieces[0].id, pieces[0].function.name) == (made.id, made.function.name)
        assert "".join(each.function.arguments for each in pieces) == made.function.arguments
    assert [each.choices[0].finish_reason for each in chunks[:-1]][-1] == whole.choices[0].finish_reason


def test_responses():
    whole = Response.model_validate_json(post("/responses", input="hi").content)
    sent = [orjson.loads(each) for each in events(post("/responses", input="hi", stream=True))]
    for each in sent:
        TypeAdapter(ResponseStreamEvent).validate_python(each)
    assert [each["sequence_number"] for each in sent] == list(range(len(sent)))
    assert Response.model_validate(sent[-1]["response"]) == whole
    done = [each for each in sent if each["type"] == "response.output_item.done"]
    assert [each["output_index"] for each in done] == [0, 1, 2]
    assert [each["item"] for each in done] == sent[-1]["response"]["output"]
    for index, item in enumerate(sent[-1]["response"]["output"]):
        pieces = [each["delta"] for each in sent if each.get("output_index") == index and "delta" in each]
        assert "".join(pieces) == (item["arguments"] if index else item["content"][0]["text"])
