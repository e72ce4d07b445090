from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager

import httpx2
import pytest

from holdfast.testing import ModelServer, Script, fault, say

FLAKY = "turns:\n  - say: fine\n    fault: {status: 503, times: 3}\n"
DEADLINE_S = 60


@contextmanager
def process(tmp_path, script, *options):
    """A server process, its base URL and itself, killed at the end."""
    path = tmp_path / "script.yaml"
    path.write_text(script)
    command = [sys.executable, "-m", "holdfast.testing.model_server", str(path), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running.stdout.readline().strip(), running
        finally:
            running.kill()


def ask(url):
    return httpx2.post(f"{url}/responses", json={"model": "m", "input": "hi"}).status_code


def test_the_process_serves_counts_and_stops(tmp_path):
    with process(tmp_path, "turns: [{say: hello}]", "--ready-file", str(tmp_path / "ready")) as (
        url,
        running,
    ):
        assert ask(url) == 200
        assert (tmp_path / "ready").read_text() == f"{url}\n"
        counted = httpx2.get(url.removesuffix("/v1") + "/_holdfast/requests", params={"count": 1})
        assert counted.json() == {"count": 1}
        running.terminate()
        assert running.wait(DEADLINE_S) == 0


def test_faults_are_counted_on_after_a_kill(tmp_path):
    state = ("--state-file", str(tmp_path / "attempts"))
    with process(tmp_path, FLAKY, *state) as (url, running):
        assert [ask(url), ask(url)] == [503, 503]
        running.kill()
        running.wait(DEADLINE_S)
    port = url.removesuffix("/v1").rpartition(":")[2]
    with process(tmp_path, FLAKY, "--port", port, *state) as (again, _):
        assert again == url, "clients find it where it was"
        assert [ask(url), ask(url)] == [503, 200]


def test_without_a_state_file_a_new_server_begins_anew(tmp_path):
    script = Script([fault(503), say("fine")])
    for state, expected in ((None, [503, 503]), (tmp_path / "attempts", [503, 200])):
        seen = []
        for _ in range(2):
            with ModelServer(script, state_file=state) as server:
                seen.append(ask(server.url))
        assert seen == expected


def test_a_server_can_be_stopped_and_started_on_its_port():
    server = ModelServer(Script(["hi"]))
    with server:
        url = server.url
        assert ask(url) == 200
    with pytest.raises(httpx2.ConnectError):
        ask(url)
    with server:
        assert server.url == url
        assert ask(url) == 200
        with pytest.raises(OSError, match="in use"):
            ModelServer(Script(["hi"]), port=server.port).start()
    assert server.count() == 2


@pytest.mark.parametrize(("script", "told"), [("turns: []", "turns: List should have"), (None, "cannot be read")])
def test_a_wrong_script_ends_the_process_with_its_place(tmp_path, script, told):
    path = tmp_path / "script.yaml"
    if script is not None:
        path.write_text(script)
    command = [sys.executable, "-m", "holdfast.testing.model_server", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert str(path) in ended.stderr
    assert told in ended.stderr


def test_a_taken_port_ends_the_process(tmp_path):
    with ModelServer(Script(["hi"])) as server:
        (tmp_path / "script.yaml").write_text("turns: [{say: hi}]")
        command = [sys.executable, "-m", "holdfast.testing.model_server", str(tmp_path / "script.yaml")]
        command += ["--port", str(server.port)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert ended.returncode == 1
    assert "in use" in ended.stderr


def test_importing_the_package_loads_nothing_heavy():
    program = (
        "import sys, holdfast.testing; before = set(sys.modules); "
        "assert not {'yaml', 'pydantic', 'asyncio', 'orjson'} & before; "
        "holdfast.testing.ModelServer; assert 'pydantic_ai' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=DEADLINE_S)


def test_every_exported_name_exists():
    import holdfast.testing

    for name in holdfast.testing.__all__:
        assert getattr(holdfast.testing, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = holdfast.testing.nonsense
