"""People who talk to agents over HTTP: an API, a worker that carries their runs, and what each model was given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx2
import orjson
import psycopg
from pydantic_ai import Agent, RunContext
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from engine.lab import Died, Lab, die_at
from holdfast import App, effect
from holdfast.store.hints import Hints
from holdfast.store.pool import Database
from holdfast.store.reader import RunReader
from holdfast.store.vault import Vault
from holdfast.task import RunScope
from support.api_serving import serving
from support.holder import KEY
from support.parties import Parties, gathered


def said(messages: list[ModelMessage]) -> list[str]:
    """Prompts, and what stands in their place, in order."""
    return [str(part.content) for message in messages for part in message.parts if isinstance(part, UserPromptPart)]


def problem(answer: httpx2.Response) -> tuple[int, str]:
    """The status and the slug of an answer."""
    return answer.status_code, answer.json()["type"].removeprefix("/problems/")


@dataclass
class Heard:
    """What agents were given."""

    given: list[list[ModelMessage]] = field(default_factory=list)
    """The messages of every request to the model of the task's own agent."""
    inner: list[list[str]] = field(default_factory=list)
    """The prompts of every request to the sub-agent's."""
    scopes: list[UUID | None] = field(default_factory=list)
    """The session of each run, as its dependencies are told."""

    @property
    def seen(self) -> list[list[str]]:
        """The prompts of every request of the task's own agent."""
        return [said(messages) for messages in self.given]

    def app(self) -> App:
        """Two tasks of one agent that answers and, asked to look, asks another: `talk`, and `desk` that shares."""
        helper = Agent(FunctionModel(self._help), name="helper")
        talker = Agent(FunctionModel(self._answer), name="talker", deps_type=type(None))

        @talker.tool
        @effect.delegate
        async def look(ctx: RunContext[None]) -> str:
            return (await helper.run("inside", usage=ctx.usage)).output

        def deps(scope: RunScope) -> None:
            self.scopes.append(scope.session)

        app = App("talk")
        app.task("talk", agent=talker, agents=[helper], deps=deps, stream=False)
        app.task("desk", agent=talker, agents=[helper], deps=deps, stream=False, sessions="shared")
        return app

    def _help(self, messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        self.inner.append(said(messages))
        return ModelResponse(parts=[TextPart("looked")])

    def _answer(self, messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        self.given.append(list(messages))
        asked, last = said(messages)[-1], messages[-1].parts[-1]
        if asked.startswith("look") and not isinstance(last, ToolReturnPart):
            return ModelResponse(parts=[ToolCallPart("look", {})])
        return ModelResponse(parts=[TextPart(f"You said {asked}")])


@dataclass
class Talk(Heard):
    """An installation with the tenant `acme`, and a worker that carries a run when it is told to."""

    parties: Any = None
    acme: Any = None
    lab: Any = None
    _aside: set[asyncio.Task[Any]] = field(default_factory=set)

    async def person(self, name: str, *roles: str) -> tuple[str, httpx2.AsyncClient]:
        """Somebody of Acme's."""
        return await self.parties.person(self.acme, name, *roles)

    async def narrowed(self, *scopes: str) -> httpx2.AsyncClient:
        """Acme's administrator by a key that may only so much."""
        made = await self.acme.post("/v1/keys", json={"scopes": list(scopes)})
        assert made.status_code == 201, made.text
        return await self.parties.using(made.json()["secret"])

    async def ask(
        self, client: httpx2.AsyncClient, text: str, *, session: str | None = None, task: str = "talk"
    ) -> str:
        """Start a run; its id."""
        answer = await client.post(f"/v1/tasks/{task}/runs", json={"input": text, "session": session})
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    async def say(
        self, client: httpx2.AsyncClient, text: str, *, session: str | None = None, task: str = "talk"
    ) -> str:
        """Start a run and carry it to its success; its id."""
        run = await self.ask(client, text, session=session, task=task)
        await self.carry(run)
        await self.lab.expect("succeeded")
        return run

    async def carry(self, run: str) -> None:
        """Claim a run as a new worker, and carry it to its end."""
        assert await self.work(run) == "finished"

    async def work(self, run: str) -> Any:
        """Claim a run as a new worker, and carry it as far as it goes."""
        self.lab.run = UUID(run)
        return await self.lab.work()

    async def die(self, run: str, point: str, nth: int) -> None:
        """Carry a run as a worker that dies the nth time it passes a point."""
        self.lab.run = UUID(run)
        assert isinstance(await self.lab.work(probe=die_at(point, nth)), Died)

    async def content(self, run: str, ref: str) -> Any:
        """Content of a run of Acme's."""
        self.lab.run = UUID(run)
        row = self.lab.row()
        key = await self.lab.vault.subject(row["tenant"], row["subject"])
        found = await RunReader(self.lab.worker_db).content_of(row["tenant"], self.lab.run, [ref], key)
        return orjson.loads(found[ref])

    async def audit(self) -> list[dict[str, Any]]:
        """Acme's audit log, newest first."""
        return (await self.acme.get("/v1/audit")).json()["items"]

    async def subject(self, run: str) -> str:
        """Under whose key a run's content is sealed."""
        self.lab.run = UUID(run)
        return self.lab.row()["subject"]

    def aside(self, act: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Do this meanwhile."""
        task = asyncio.create_task(act)
        self._aside.add(task)
        return task

    async def until_somebody_waits(self) -> None:
        """Return once somebody waits for a row that somebody else holds."""
        waiting = (
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
        async with asyncio.timeout(30):
            with psycopg.connect(self.lab.admin_url, autocommit=True) as connection:
                while connection.execute(waiting).fetchone() == (0,):
                    await asyncio.sleep(0.005)


@asynccontextmanager
async def talking(database: Any) -> AsyncIterator[Talk]:
    """An API on a real socket, and a worker."""
    talk = Talk()
    app = talk.app()
    async with AsyncExitStack() as stack:
        worker_db = await stack.enter_async_context(Database.open(database.worker_url, role="worker"))
        api_db = await stack.enter_async_context(Database.open(database.api_url, role="api"))
        hints = await stack.enter_async_context(Hints(worker_db))
        vault = Vault(worker_db, KEY)
        talk.lab = Lab(app, worker_db, api_db, vault, hints, database.admin_url, KEY)
        url = await stack.enter_async_context(serving(database.api_url, app=app))
        talk.parties: Parties = await stack.enter_async_context(gathered(url, database.api_url))
        talk.acme = await talk.parties.tenant("acme")
        yield talk
