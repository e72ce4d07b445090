"""Logs are for people: whatever becomes of them, the process goes on."""

import errno
import io
import json
import sys

import pytest
import structlog

from holdfast.observe.logs import logger, set_up_logs


@pytest.fixture(autouse=True)
def as_before():
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def replaced(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_lines_go_where_standard_error_is_when_they_are_written(monkeypatch):
    replaced(monkeypatch, io.StringIO())
    set_up_logs("info", "json")
    sys.stderr.close()
    log, now = logger("test"), replaced(monkeypatch, io.StringIO())
    log.info("said", n=1)
    assert json.loads(now.getvalue())["event"] == "said"


class Broken(io.StringIO):
    """A pipe that nobody reads any more."""

    def write(self, *_):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    flush = write


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [Broken(), closed(), None], ids=["broken", "closed", "none"])
@pytest.mark.parametrize("format_", ["json", "console"])
def test_a_line_that_cannot_be_written_is_dropped_and_nothing_fails(monkeypatch, stream, format_):
    replaced(monkeypatch, io.StringIO())
    set_up_logs("info", format_)
    replaced(monkeypatch, stream)
    logger("test").error("lost")
