"""LangGraph with PostgresSaver. Run by the interpreter of its own environment; prints one JSON object per figure.

python with_langgraph.py URL TOOLS RUNS AT_ONCE STEPS
"""

import asyncio
import json
import resource
import sys
import time
from itertools import count
from typing import TypedDict

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

URL, TOOLS, RUNS, AT_ONCE, STEPS = sys.argv[1], *map(int, sys.argv[2:6])
_threads = count()


async def model(state: MessagesState):
    done = sum(isinstance(message, AIMessage) for message in state["messages"])
    if done < TOOLS:
        call = {"name": "look_up", "args": {"item": done}, "id": f"call{done}"}
        return {"messages": [AIMessage(content="", tool_calls=[call])]}
    return {"messages": [AIMessage(content="done and dusted")]}


async def tools(state: MessagesState):
    call = state["messages"][-1].tool_calls[0]
    return {"messages": [ToolMessage(f"item {call['args']['item']}: " + "x" * 40, tool_call_id=call["id"])]}


def after_model(state: MessagesState):
    return "tools" if state["messages"][-1].tool_calls else END


class Counted(TypedDict):
    step: int


async def nothing(state: Counted):
    return {"step": state["step"] + 1}


def agent_graph(saver):
    graph = StateGraph(MessagesState)
    graph.add_node("model", model)
    graph.add_node("tools", tools)
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", after_model)
    graph.add_edge("tools", "model")
    return graph.compile(checkpointer=saver)


def empty_graph(saver):
    graph = StateGraph(Counted)
    graph.add_node("nothing", nothing)
    graph.add_edge(START, "nothing")
    graph.add_conditional_edges("nothing", lambda state: "nothing" if state["step"] < STEPS else END)
    return graph.compile(checkpointer=saver)


async def carry_one(graph, start):
    config = {"configurable": {"thread_id": str(next(_threads))}, "recursion_limit": 10_000}
    await graph.ainvoke(start, config, durability="sync")


def cpu_s():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def measure(name, act, runs, at_once, steps):
    """`steps` are those of one run."""
    left = iter(range(runs))

    async def carry():
        for _ in left:
            await act()

    cpu, wall = cpu_s(), time.perf_counter()
    await asyncio.gather(*(carry() for _ in range(at_once)))
    cpu, wall = cpu_s() - cpu, time.perf_counter() - wall
    done = runs * steps
    print(json.dumps({"name": name, "steps": done, "steps_per_s": done / wall, "cpu_ms_per_step": 1000 * cpu / done}))


async def main():
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    async with AsyncConnectionPool(URL, min_size=4, max_size=16, kwargs=options) as pool:
        saver = AsyncPostgresSaver(pool)
        await saver.setup()
        agent, empty = agent_graph(saver), empty_graph(saver)
        start = {"messages": [HumanMessage("hi")]}
        await carry_one(agent, start)
        await measure("agent", lambda: carry_one(agent, start), RUNS, AT_ONCE, 2 * TOOLS + 1)
        await measure("no-op", lambda: carry_one(empty, {"step": 0}), AT_ONCE, AT_ONCE, STEPS)


asyncio.run(main())
