"""`python -m holdfast.testing.model_server script.yaml`: the model server as a process of its own."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from holdfast.testing.model_server.errors import ScriptError
from holdfast.testing.model_server.script_file import load_routes
from holdfast.testing.model_server.server import ModelServer


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. Exit codes: 0 stopped, 1 cannot listen, 2 wrong script or arguments."""
    options = _parser().parse_args(arguments)
    try:
        server = ModelServer(load_routes(options.script), port=options.port, state_file=options.state_file)
        server.start()
    except (ScriptError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command speaks on its streams
        return 2 if isinstance(error, ScriptError) else 1
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    print(server.url, flush=True)  # noqa: T201 - the address is the command's output
    if options.ready_file:
        _write_whole(options.ready_file, server.url + "\n")
    stop.wait()
    server.stop()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m holdfast.testing.model_server",
        description="A scripted, OpenAI-compatible model server for tests. Prints its base URL.",
    )
    parser.add_argument("script", type=Path, help="YAML file with the answers")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--ready-file", type=Path, help="written with the base URL once it listens")
    parser.add_argument("--state-file", type=Path, help="keeps the counts of attempts over restarts")
    return parser


def _write_whole(path: Path, text: str) -> None:
    """Whoever sees the file sees all of it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


if __name__ == "__main__":
    sys.exit(main())
