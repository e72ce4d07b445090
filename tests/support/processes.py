"""Processes that stay, and what they log."""

import json
import time
from contextlib import contextmanager
from pathlib import Path

PATIENCE_S = 120


@contextmanager
def process(cli, *arguments):
    """A process and a reader of its log; killed at the end."""
    with Path(cli.folder / f"{arguments[0]}.log").open("w+") as log:
        started = cli.start(*arguments, stderr=log, stdout=log)
        try:
            yield started
        finally:
            started.kill()
            started.wait()


def logged(cli, name, event, count=1):
    """The log lines of an event, once there are so many."""
    return until(
        lambda: [
            line
            for text in (cli.folder / f"{name}.log").read_text().splitlines()
            if text.startswith("{") and (line := json.loads(text))["event"] == event
        ],
        lambda found: len(found) >= count,
        f"{name} logs {event}",
    )


def until(look, enough, what):
    deadline = time.monotonic() + PATIENCE_S
    while not enough(found := look()):
        assert time.monotonic() < deadline, f"waited in vain until {what}: {found}"
        time.sleep(0.02)
    return found
