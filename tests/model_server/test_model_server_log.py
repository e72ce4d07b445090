from __future__ import annotations

import asyncio
import socket

import httpx2
import pytest
from pydantic_ai import Agent

from holdfast.testing import ModelServer, Script, ScriptError, call, fault, say


async def test_every_request_is_recorded(model_on, ask, api, stream):
    with ModelServer({"gpt-5": Script([call("t"), say("done")])}) as server:
        async with model_on(server) as model:
            agent = Agent(model)

            @agent.tool_plain
            def t() -> str:
                return "result of t"

            await ask(agent, "hi")
        first, second = server.requests
        assert (first.number, first.method, first.model, first.script) == (1, "POST", "gpt-5", "gpt-5")
        assert (second.turn, second.attempt, second.stream, second.status) == (2, 1, stream, 200)
        assert (first.outcome, first.client_read_all) == ("sent", True)
        assert first.received_at <= second.received_at
        assert second.duration_s is not None
        assert "result of t" in str(second.body["messages" if api == "chat" else "input"])
        assert first.conversation == second.conversation
        assert server.count(turn=1) == server.count(turn=2) == 1
        with pytest.raises(ScriptError, match="no field colour; filter by path, model"):
            server.count(colour="red")
        server.clear()
        assert server.count() == 0


async def test_another_process_counts_over_http(model_on):
    with ModelServer(Script([fault(500), say("done")])) as server:
        async with (
            model_on(server, max_retries=1) as model,
            httpx2.AsyncClient(base_url=server.control_url) as http,
        ):
            waiting = asyncio.create_task(http.get("/requests", params={"count": 1, "at_least": 2, "outcome": "sent"}))
            await Agent(model).run("hi")
            assert (await waiting).json() == {"count": 2}
            assert (await http.get("/requests", params={"count": 1, "status": 200})).json() == {"count": 1}
            [shown] = (await http.get("/requests", params={"fault": "status 500"})).json()["requests"]
            assert shown["body"]["model"] == "gpt-5"
            assert (shown["number"], shown["client_read_all"], shown["attempt"]) == (1, True, 1)
            late = await http.get("/requests", params={"count": 1, "at_least": 9, "timeout_s": 0.05})
            assert (late.status_code, late.json()) == (504, {"count": 2})
            assert (await http.get("/requests", params={"colour": "red"})).status_code == 400
            assert (await http.delete("/requests")).json() == {"count": 0}
            assert (await http.get("/nonsense")).status_code == 404


def test_bodies_are_kept_for_the_latest_only():
    with ModelServer(Script(["hi"]), keep_bodies=2) as server:
        for number in range(4):
            message = {"role": "user", "content": str(number)}
            httpx2.post(f"{server.url}/chat/completions", json={"model": "m", "messages": [message]})
        assert [each.body and each.body["messages"][0]["content"] for each in server.requests] == [
            None,
            None,
            "2",
            "3",
        ]


def test_what_is_no_request_for_an_answer_is_told_so():
    with ModelServer({"gpt-5": Script(["hi"])}) as server:
        not_json = httpx2.post(f"{server.url}/responses", content=b"{")
        assert (not_json.status_code, not_json.json()["error"]["code"]) == (400, "script_error")
        assert "not a JSON object" in httpx2.post(f"{server.url}/responses", json=[]).text
        kept = httpx2.post(
            f"{server.url}/responses", json={"model": "gpt-5", "input": "x", "previous_response_id": "r"}
        )
        assert "send the whole history" in kept.json()["error"]["message"]
        assert httpx2.get(f"{server.url}/responses").status_code == 404
        assert httpx2.post(f"{server.url}/embeddings", json={}).status_code == 404
        assert httpx2.get(f"{server.url}/models").json()["data"][0]["id"] == "gpt-5"
        assert len(server.requests) == 6


def test_broken_http_does_not_stop_the_server():
    with ModelServer(Script(["hi"])) as server:
        for sent in (b"nonsense\r\n\r\n", b"POST /v1/x HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"x" * 70_000):
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.sendall(sent)
                assert client.recv(1000).startswith(b"HTTP/1.1 400 ")
        answer = httpx2.post(f"{server.url}/responses", json={"model": "m", "input": "x"})
        assert answer.status_code == 200


def test_requests_in_pieces_and_several_on_one_connection():
    body = b'{"model":"m","input":"x"}'
    request = b"POST /v1/responses HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with ModelServer(Script(["hi"])) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            for byte in request[:-1]:
                client.sendall(bytes([byte]))
            client.sendall(request[-1:] + request)
            received = b""
            while received.count(b"output_text") < 2:
                received += client.recv(65536)
        assert received.count(b"HTTP/1.1 200 OK") == 2
