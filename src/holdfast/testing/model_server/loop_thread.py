"""An event loop on a thread of its own, for callers on other threads and other loops."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for others while it lasts."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and not ended."""
        return self._loop is not None

    def start(self) -> None:
        """Begin to run coroutines."""
        self._loop = _new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="holdfast-model-server", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop the loop and wait for its thread. What still runs on it is dropped."""
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None

    def submit(self, make: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        """Run the coroutine that `make` makes there. Raises `RuntimeError` if the server is not running."""
        if self._loop is None:
            raise RuntimeError("the model server is not running: use it in a with statement, or call start()")
        return asyncio.run_coroutine_threadsafe(make(), self._loop)

    def wait(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run the coroutine that `make` makes there and wait for its result."""
        return self.submit(make).result()

    def call(self, function: Callable[[], T]) -> T:
        """Call `function` there and wait for its result."""

        async def run() -> T:
            return function()

        return self.wait(run)


def _new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
