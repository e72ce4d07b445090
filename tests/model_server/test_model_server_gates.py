from __future__ import annotations

import asyncio

import httpx2
import pytest
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelTimeoutError

from holdfast.testing import ModelServer, Script, call, calls, say


async def test_an_answer_waits_until_it_is_released(model_on, ask):
    with ModelServer(Script([say("go", gate="start")])) as server:
        async with model_on(server) as model:
            arrived = asyncio.create_task(server.until_requests(1, turn=1))
            run = asyncio.create_task(ask(Agent(model), "hi"))
            await arrived
            await server.until_held("start")
            assert not run.done()
            assert server.requests[0].outcome == "open"
            server.release("start")
            assert (await run).output == "go"
            assert (await ask(Agent(model), "again")).output == "go", "released for good"


async def test_a_stream_stops_half_way_with_its_first_pieces_delivered(model_on):
    with ModelServer(Script([say("one two three four", gate="half", gate_after=2)])) as server:
        async with model_on(server) as model:
            pieces, two = [], asyncio.Event()

            async def read():
                async with Agent(model).run_stream("hi") as result:
                    async for piece in result.stream_text(delta=True, debounce_by=None):
                        pieces.append(piece)
                        if len(pieces) == 2:
                            two.set()

            reading = asyncio.create_task(read())
            await server.until_held("half")
            await asyncio.wait_for(two.wait(), 30)
            assert pieces == ["one ", "two "]
            server.release("half")
            await reading
            assert pieces == ["one ", "two ", "three ", "four"]


async def test_a_gate_in_the_middle_of_tool_arguments(model_on):
    script = Script([calls(call("t", text="x" * 50), gate="half", gate_after=1), say("done")])
    with ModelServer(script) as server:
        async with model_on(server) as model:
            agent, called = Agent(model), []

            @agent.tool_plain
            def t(text: str) -> str:
                called.append(text)
                return "t"

            async def read():
                async with agent.run_stream_events("hi") as events:
                    async for _ in events:
                        pass

            reading = asyncio.create_task(read())
            await server.until_held("half")
            assert called == []
            server.release("half")
            await reading
            assert called == ["x" * 50]


async def test_a_client_killed_at_the_gate_leaves_it(model_on, ask):
    with ModelServer(Script([say("one two", gate="g", gate_after=1)])) as server:
        async with model_on(server) as model:
            run = asyncio.create_task(ask(Agent(model), "hi"))
            await server.until_held("g")
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run
        await server.until_requests(1, outcome="client_gone")
        assert server.waiting("g") == 0
        assert not server.requests[0].client_read_all
        async with model_on(server) as model:
            again = asyncio.create_task(ask(Agent(model), "hi"))
            await server.until_held("g")
            server.release("g", 1)
            assert (await again).output == "one two"
        assert [each.attempt for each in server.requests] == [1, 2]


async def test_a_permit_lets_one_through(model_on):
    with ModelServer(Script([say("go", gate="g")])) as server:
        async with model_on(server) as model:
            runs = [asyncio.create_task(Agent(model).run("hi")) for _ in range(3)]
            await server.until_held("g", 3)
            server.release("g", 1)
            done, _ = await asyncio.wait(runs, return_when=asyncio.FIRST_COMPLETED)
            assert (len(done), server.waiting("g")) == (1, 2)
            server.release("g", 3)
            await asyncio.gather(*runs)
            assert (await Agent(model).run("hi")).output == "go", "the third permit was left over"


async def test_a_gate_for_one_conversation_only(model_on):
    with ModelServer(Script([say("go", gate="gate of {user}")])) as server:
        async with model_on(server) as model:
            ann, bob = (asyncio.create_task(Agent(model).run(name)) for name in ("Ann", "Bob"))
            await server.until_held("gate of Ann")
            await server.until_held("gate of Bob")
            server.release("gate of Ann")
            assert (await ann).output == "go"
            assert not bob.done()
            server.release("gate of Bob")
            await bob


async def test_a_gate_can_be_held_again(model_on):
    with ModelServer(Script([say("go", gate="g")])) as server:
        server.release("g")
        server.hold("g")
        async with model_on(server, timeout_s=0.2) as model:
            with pytest.raises(ModelTimeoutError):
                await Agent(model).run("hi")


async def test_gates_over_http(model_on):
    with ModelServer(Script([say("go", gate="a gate")])) as server:
        async with model_on(server) as model, httpx2.AsyncClient(base_url=server.control_url) as http:
            run = asyncio.create_task(Agent(model).run("hi"))
            waited = await http.get("/gates/a gate", params={"waiting": 1, "timeout_s": 30})
            assert waited.json() == {"name": "a gate", "open": False, "waiting": 1}
            released = await http.post("/gates/a gate/release")
            assert released.json() == {"name": "a gate", "open": True, "waiting": 0}
            assert (await run).output == "go"
            assert (await http.post("/gates/a gate/hold")).json()["open"] is False
            late = await http.get("/gates/a gate", params={"waiting": 1, "timeout_s": 0.05})
            assert late.status_code == 504
            assert (await http.post("/gates/a gate/release", params={"count": "x"})).status_code == 400
        assert server.count() == 1, "control requests are not the provider's"


def test_waiting_for_nobody_ends():
    with ModelServer(Script(["hi"])) as server:
        with pytest.raises(TimeoutError):
            server.wait_until_held("g", timeout_s=0.05)
        with pytest.raises(TimeoutError):
            server.wait_for_requests(1, timeout_s=0.05)


async def test_stopping_the_server_ends_those_who_wait(model_on):
    server = ModelServer(Script([say("go", gate="g")])).start()
    async with model_on(server) as model:
        run = asyncio.create_task(Agent(model).run("hi"))
        await server.until_held("g")
        await asyncio.to_thread(server.stop)
        with pytest.raises(Exception, match="Connection error"):
            await run
    assert server.requests[0].outcome == "server_stopped"
    with pytest.raises(RuntimeError, match="not running"):
        server.release("g")
