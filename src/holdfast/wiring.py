"""The one place where parts are put together: settings and an app in, a worker or services out."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Literal

from holdfast.domain.errors import DatabaseUnavailable, KeyUnavailable, UserError
from holdfast.loading import load_app

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from holdfast.app import App
    from holdfast.embedded import EmbeddedServer
    from holdfast.guards.policy import PolicyFile
    from holdfast.service.gate import Gate
    from holdfast.service.services import Services
    from holdfast.settings import Settings
    from holdfast.store.hints import Hints
    from holdfast.store.pool import Database
    from holdfast.store.vault import Vault, WrappingKey
    from holdfast.worker.worker import Worker

__all__ = ["Installation", "load_app", "open_api", "open_gate", "open_halting", "open_worker"]

_EMBEDDED_DIR = "pg"
_EMBEDDED_DATABASE = "postgres"
_EMBEDDED_ADMIN = "admin"
_HALT_WAIT_S = 60.0
_HALTS_AT_ONCE = 4
_KEY_FILE = "key"


class Installation:
    """A database and a wrapping key, as the settings say: the embedded ones, or outside ones.

    The embedded database is started, held and migrated here. An outside one is never migrated by itself: two
    releases may share it for a while, and who migrates is the operator's decision.
    """

    def __init__(self, settings: Settings, wrapping: WrappingKey, server: EmbeddedServer | None) -> None:
        self.settings = settings
        self.wrapping = wrapping
        self._server = server

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncGenerator[Installation, None]:
        """Hold the installation while the block runs.

        Raises:
            DatabaseUnavailable: neither an embedded nor an outside database can be had.
            KeyUnavailable: the wrapping key is missing or malformed.
            SchemaMismatch: the embedded data was written by a newer Holdfast.
        """
        if settings.database_url is not None:
            yield cls(settings, _outside_key(settings), None)
            return
        # The key first: where there is data and no key, starting with a new one would split the content.
        wrapping = await asyncio.to_thread(_embedded_key, settings)
        server = await asyncio.to_thread(_acquire, settings.data_dir / _EMBEDDED_DIR)
        try:
            installation = cls(settings, wrapping, server)
            await asyncio.to_thread(_migrate, installation.admin_url)
            yield installation
        finally:
            await asyncio.to_thread(server.release)

    @property
    def embedded(self) -> bool:
        """Whether the database is the embedded one."""
        return self._server is not None

    @property
    def admin_url(self) -> str:
        """The URL of the login that migrates.

        Raises:
            UserError: an outside database is used and no `admin_database_url` is set.
        """
        if self._server is not None:
            return self._server.url(user=_EMBEDDED_ADMIN, database=_EMBEDDED_DATABASE)
        if self.settings.admin_database_url is None:
            raise UserError(
                "Migrating needs a login that owns the database. Set HOLDFAST_ADMIN_DATABASE_URL to its URL."
            )
        return self.settings.admin_database_url

    def url(self, role: Literal["worker", "api"]) -> str:
        """The URL a process of this role logs in with."""
        if self._server is not None:
            return self._server.url(user=f"holdfast_{role}", database=_EMBEDDED_DATABASE)
        assert self.settings.database_url is not None
        return self.settings.database_url

    @property
    def halting_url(self) -> str:
        """The URL by which halts are declared. The embedded server keeps connections free for that login."""
        if self._server is not None:
            from holdfast.store.roles import HALT_LOGIN

            return self._server.url(user=HALT_LOGIN, database=_EMBEDDED_DATABASE)
        return self.url("api")

    @asynccontextmanager
    async def database(self, role: Literal["worker", "api"]) -> AsyncGenerator[Database, None]:
        """Pools of connections in this role; the login and the schema are checked."""
        from holdfast.store.pool import Database

        async with Database.open(
            self.url(role),
            role=role,
            listen_url=self.settings.listen_url,
            prepared=self.settings.prepared_statements,
        ) as db:
            yield db

    async def _vault(self, db: Database) -> Vault:
        from holdfast.domain.ids import DEFAULT_TENANT
        from holdfast.store.vault import Vault

        vault = Vault(db, self.wrapping)
        await vault.check(DEFAULT_TENANT)
        return vault

    @asynccontextmanager
    async def worker(
        self, app: App, *, probe: Callable[[str], None] | None = None, lenient: bool = False
    ) -> AsyncGenerator[Worker, None]:
        """A worker for `app`, ready to `.run()`.

        Args:
            app: whose tasks it serves.
            probe: is told each named point that the worker passes; tests crash there.
            lenient: tell of tools of which nothing is declared, and serve them all the same.

        Raises:
            UserError: the app has no task, one whose agent has no model, or, where neither a policy nor its task says
                what becomes of it, a tool that declares no recovery class.
            PolicyError: its policy is not in order.
        """
        from holdfast.engine.gear import Gear, no_probe
        from holdfast.engine.startable import check_models
        from holdfast.guards.prices import PriceBook
        from holdfast.store.hints import Hints
        from holdfast.store.journal import JournalWriter
        from holdfast.store.live import LivePublisher
        from holdfast.store.reader import RunReader
        from holdfast.worker.policing import governor_of, keep_in_force
        from holdfast.worker.worker import Worker

        if not app.tasks:
            raise UserError(
                f"App '{app.name}' has no task, so its workers would have nothing to do. Register an agent as one: "
                "app.task(name, agent=...)."
            )
        check_models(app)
        policy = policy_of(app, self.settings, lenient=lenient)
        governor = governor_of(app, self.settings, policy)
        async with AsyncExitStack() as stack:
            db = await stack.enter_async_context(self.database("worker"))
            hints = await stack.enter_async_context(Hints(db))
            writer = await stack.enter_async_context(JournalWriter(db, probe=probe))
            live = LivePublisher(db, hints)
            stack.push_async_callback(live.aclose)
            vault = await self._vault(db)
            gear = Gear(
                db=db,
                writer=writer,
                reader=RunReader(db),
                vault=vault,
                hints=hints,
                live=live,
                prices=PriceBook(self.settings.prices).load(),
                governor=governor,
                probe=probe or no_probe,
            )
            stack.push_async_callback(gear.late.aclose)
            if policy is not None:
                watching = asyncio.create_task(keep_in_force(policy, governor), name="holdfast.policy")
                stack.callback(watching.cancel)
            yield Worker(app, gear, self.settings)

    @asynccontextmanager
    async def api(self, app: App | None = None) -> AsyncGenerator[Services, None]:
        """What the API, the console and the command line serve requests with.

        Raises:
            ModelMissing: runs of `app` would be accepted that nobody can carry.
        """
        from holdfast.store.hints import Hints

        if app is not None:
            from holdfast.engine.startable import check_models

            check_models(app)
        async with self.database("api") as db, Hints(db) as hints:
            yield await self._services(db, hints, app)

    @asynccontextmanager
    async def halting(self, waiting: Callable[[str], None] | None = None) -> AsyncGenerator[Services, None]:
        """What halts are declared, seen and lifted with: few connections, and nobody else's.

        Args:
            waiting: is told why, where the server lets nobody in and is asked again for a while. None: asked once.
        """
        from holdfast.store.hints import Hints
        from holdfast.store.patience import Patience
        from holdfast.store.pool import Database

        patience = None if waiting is None else Patience(_HALT_WAIT_S, waiting)
        async with (
            Database.open(
                self.halting_url,
                role="api",
                listen_url=self.settings.listen_url,
                prepared=self.settings.prepared_statements,
                max_size=_HALTS_AT_ONCE if patience is None else 1,  # a second one might have to be waited for
                patience=patience,
            ) as db,
            Hints(db, hears=False) as hints,
        ):
            yield await self._services(db, hints, None)

    async def _services(self, db: Database, hints: Hints, app: App | None) -> Services:
        from holdfast.service.services import Services
        from holdfast.store.reader import RunReader

        return Services(
            app=app,
            db=db,
            reader=RunReader(db),
            vault=await self._vault(db),
            hints=hints,
            max_content_bytes=self.settings.max_body_bytes,
            newcomer_s=self.settings.newcomer_s,
            public_url=self.settings.public_url,
        )


def policy_of(app: App, settings: Settings, *, lenient: bool = False) -> PolicyFile | None:
    """The policy of an app that is to be served. Where it has none, somebody has said what becomes of each tool.

    Args:
        app: the app.
        settings: of the process; in the environment `dev` it is lenient.
        lenient: tell of tools of which nothing was said, and go on.

    Raises:
        PolicyError: it is not in order.
        ToolsUndeclared: there is none, and of some tool nothing is said.
    """
    from holdfast.engine.startable import check_declared

    policy = app.policy_file()
    if policy is None:
        check_declared(app, lenient=lenient or settings.env == "dev")
    return policy


@asynccontextmanager
async def open_worker(
    settings: Settings, app: App, *, probe: Callable[[str], None] | None = None
) -> AsyncGenerator[Worker, None]:
    """A worker on the installation that the settings name. Raises as `Installation.open` does."""
    async with Installation.open(settings) as installation, installation.worker(app, probe=probe) as worker:
        yield worker


@asynccontextmanager
async def open_api(settings: Settings, app: App | None = None) -> AsyncGenerator[Services, None]:
    """The API's services on the installation that the settings name. Raises as `Installation.open` does."""
    async with Installation.open(settings) as installation, installation.api(app) as services:
        yield services


@asynccontextmanager
async def open_halting(
    settings: Settings, waiting: Callable[[str], None] | None = None
) -> AsyncGenerator[Services, None]:
    """What halts are declared with, on connections of its own. Raises as `Installation.open` does."""
    async with Installation.open(settings) as installation, installation.halting(waiting) as services:
        yield services


@asynccontextmanager
async def open_gate(services: Services, settings: Settings) -> AsyncGenerator[Gate, None]:
    """Who is let in: keys, and the tokens of the issuers that the settings name.

    An issuer whose keys cannot be had yet is logged and asked again: whoever comes with a key need not wait for it.
    """
    from holdfast.service.gate import Gate

    if not settings.oidc:
        yield Gate(services.db)
        return
    from holdfast.identity.tokens import TokenVerifier
    from holdfast.store.hints import QUEUED

    async with TokenVerifier(settings.oidc, report=_report_issuer) as tokens:
        await tokens.faults()
        yield Gate(services.db, tokens, woken=lambda: services.hints.notify(QUEUED))


def _report_issuer(issuer: str, fault: str | None) -> None:
    from holdfast.observe.logs import logger
    from holdfast.observe.names import LogEvent

    log = logger("api", issuer=issuer)
    if fault is None:
        log.info(LogEvent.ISSUER_BACK)
    else:
        log.warning(LogEvent.ISSUER_UNAVAILABLE, why=fault)


def _acquire(data_dir: Path) -> EmbeddedServer:
    from holdfast.embedded import EmbeddedUnavailable, acquire

    try:
        return acquire(data_dir)
    except EmbeddedUnavailable as error:
        raise DatabaseUnavailable(
            f"HOLDFAST_DATABASE_URL is not set, and the embedded PostgreSQL cannot be used: {error}\n"
            "`holdfast doctor` explains what was looked for."
        ) from error


def _migrate(admin_url: str) -> None:
    from holdfast.store.migrate import migrate, schema_status

    if schema_status(admin_url).state != "ok":
        migrate(admin_url)


def _outside_key(settings: Settings) -> WrappingKey:
    found = _named_key(settings)
    if found is None:
        raise KeyUnavailable(
            "An outside database is used and no wrapping key is set. Every process of the installation needs "
            "the same one: make it with `openssl rand -base64 32`, keep it safe, and set HOLDFAST_KEY_FILE "
            "(or HOLDFAST_KEY)."
        )
    return found


def _embedded_key(settings: Settings) -> WrappingKey:
    """The key named by the settings, or the data directory's own, made on first use."""
    from holdfast.store.vault import WrappingKey

    named = _named_key(settings)
    if named is not None:
        return named
    path = settings.data_dir / _KEY_FILE
    # Looked at before the key: another process that starts for the first time makes the key before the data.
    has_data = (settings.data_dir / _EMBEDDED_DIR).exists()
    if path.exists():
        return WrappingKey.from_file(path)
    if has_data:
        raise KeyUnavailable(
            f"{path} is gone, and the content in {settings.data_dir / _EMBEDDED_DIR} cannot be read without "
            f"it. Restore it; to start anew without the old runs, move {settings.data_dir} away."
        )
    _make_key(path)
    return WrappingKey.from_file(path)


def _named_key(settings: Settings) -> WrappingKey | None:
    from holdfast.store.vault import WrappingKey

    if settings.key is not None:
        return WrappingKey.from_text(settings.key, source=settings.origin("key"))
    return WrappingKey.from_file(settings.key_file) if settings.key_file is not None else None


def _make_key(path: Path) -> None:
    """A new key at `path`, complete from the moment it is there; another process may win."""
    from holdfast.store.vault import WrappingKey

    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        WrappingKey.generate().save(draft)
        os.link(draft, path)
    except FileExistsError:
        pass
    except OSError as error:
        raise KeyUnavailable(
            f"A wrapping key cannot be made at {path}: {error.strerror}. Make the directory writable, choose "
            "another by HOLDFAST_DATA_DIR, or set HOLDFAST_KEY_FILE."
        ) from error
    finally:
        draft.unlink(missing_ok=True)
