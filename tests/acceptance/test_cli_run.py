"""`holdfast run`: asks, carries, shows; ends with what became of the run."""

import os
import pty
import signal
import subprocess
import time

import pytest

from support.cli import APP, Cli


@pytest.fixture
def cli(database, tmp_path):
    return Cli(tmp_path, database)


def test_the_output_is_on_standard_output_and_the_story_beside_it(cli):
    ended = cli("run", APP, "echo", "hello")
    assert (ended.code, ended.out) == (0, "You said hello\n")
    first, *_, last = ended.err.splitlines()
    run = first.removeprefix("run ")
    assert f"holdfast runs show {run}" in last
    assert cli("runs", "show", "last", "--json").json()["run"]["id"] == run


def test_input_is_json_where_the_task_takes_json_and_text_where_it_takes_text(cli, tmp_path):
    (tmp_path / "order.json").write_text('{"item": "tea", "count": 2}')
    said = 'You said {"item":"tea","count":2}\n'
    assert cli("run", APP, "order", '{"item": "tea", "count": 2}').out == said
    assert cli("run", APP, "order", "@order.json").out == said
    assert cli("run", APP, "order", "-", stdin='{"item": "tea", "count": 2}').out == said
    assert cli("run", APP, "echo", "@@home").out == "You said @home\n"
    assert cli("run", APP, "echo", '{"a": 1}').out == 'You said {"a": 1}\n'


def test_input_that_does_not_fit_is_refused_and_nothing_is_stored(cli):
    ended = cli("run", APP, "order", '{"item": "tea"}')
    assert ended.code == 2
    assert "count: Field required" in ended.err
    assert "Traceback" not in ended.err
    assert cli("run", APP, "echo", "@nowhere.txt").code == 2
    assert cli("runs", "ls", "--json").json()["items"] == []


def test_json_is_the_run(cli):
    run = cli("run", APP, "echo", "hello", "--json").json()
    assert (run["state"], run["output"]["value"]) == ("succeeded", "You said hello")


def test_a_failed_run_ends_with_1_and_says_what_failed_and_where(cli):
    ended = cli("run", APP, "break", "x")
    assert (ended.code, ended.out) == (1, "")
    assert "the printer is on fire" in ended.err
    assert "cli_app.py:" in ended.err
    assert "Traceback" not in ended.err


def test_the_same_key_gives_the_same_run(cli):
    first = cli("run", APP, "echo", "hello", "--key", "k1", "--json").json()
    again = cli("run", APP, "echo", "hello", "--key", "k1", "--json").json()
    assert again["id"] == first["id"]
    assert cli("run", APP, "echo", "other", "--key", "k1").code == 6


def test_a_detached_run_is_left_to_workers(cli):
    run = cli("run", APP, "echo", "hello", "--detach").out.strip()
    assert cli("runs", "show", run, "--json").json()["run"]["state"] == "queued"
    assert cli("run", APP, "--resume", run).out == "You said hello\n"


def test_a_run_that_needs_approval_waits_and_goes_on_where_it_was(cli):
    waits = cli("run", APP, "pay", "x")
    assert (waits.code, waits.out) == (7, "")
    task = cli("approvals", "ls", "--json").json()["items"][0]
    assert f"holdfast approvals decide {task['id']} --approve" in waits.err
    run = task["run"]
    assert cli("run", APP, "--resume", run).code == 7, "nobody decided: it still waits"
    assert cli("approvals", "decide", task["id"], "--approve").code == 0
    resumed = cli("run", APP, "--resume", run)
    assert (resumed.code, resumed.out) == (0, "It says: paid 5\n")


@pytest.mark.parametrize(
    ("task", "answers", "code", "output"),
    [
        ("pay", "y\n", 0, "It says: paid 5"),
        ("pay", "perhaps\nn\ntoo dear\n", 0, "It says: too dear"),
        ("pay", "l\n", 7, None),
        ("ask", "a\nthe blue one\n", 0, "It says: the blue one"),
        ("ask", "x\nj\n{\n[1]\n", 0, "It says: [1]"),
        ("ask", "d\nno idea\n", 0, "It says: no idea"),
        ("ask", "l\n", 7, None),
    ],
)
def test_on_a_terminal_the_person_is_asked(cli, task, answers, code, output):
    ours, theirs = pty.openpty()
    process = cli.start("run", APP, task, "x", stdin=theirs, stderr=theirs, stdout=subprocess.PIPE)
    os.close(theirs)
    os.write(ours, answers.encode())
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # the other end is gone: the process has ended
        pass
    out, _ = process.communicate(timeout=60)
    assert process.returncode == code, shown.decode()
    assert ("Approve?" if task == "pay" else "[a]nswer, answer with [j]son, [d]ecline") in shown.decode()
    assert out == ("" if output is None else f"{output}\n")


def test_a_question_is_answered_and_the_run_goes_on_with_it(cli):
    waits = cli("run", APP, "ask", "x")
    assert (waits.code, waits.out) == (7, "")
    task = cli("approvals", "ls", "--json").json()["items"][0]
    assert (task["kind"], task["ask"], task["args"]["value"]) == ("question", "user", {"text": "Which colour?"})
    choices = "--answer TEXT | --answer-json JSON | --decline"
    assert f"holdfast approvals decide {task['id']} {choices}" in waits.err
    shown = cli("approvals", "show", task["id"]).out
    for line in (
        "ask: What is the answer?",
        'the tool says: {"choices": ["red", "blue"]}',
        "if declined: The call has",
    ):
        assert line in shown
    assert cli("approvals", "decide", task["id"], "--approve").code == 2, "it is no approval"
    for several in (["--answer", "a", "--decline"], ["--answer", "a", "--answer-json", "1"], ["--answer-json", "{"]):
        assert cli("approvals", "decide", task["id"], *several).code == 2
    assert cli("approvals", "decide", task["id"], "--answer", "a", "--reason", "b").code == 2
    assert cli("approvals", "decide", task["id"], "--digest", task["digest"], "--answer", "blue").code == 0
    resumed = cli("run", APP, "--resume", task["run"])
    assert (resumed.code, resumed.out) == (0, "It says: blue\n")
    story = " ".join(cli("runs", "show", task["run"]).out.split())
    for told in ("ask asked a question: answered", "answer: blue", "waited for an answer"):
        assert told in story


def test_a_question_is_declined_with_a_reason_or_answered_with_json(cli):
    for given, output in (
        (["--decline", "--reason", "ask him"], "ask him"),
        (["--answer-json", '{"a": 1}'], '{"a":1}'),
    ):
        assert cli("run", APP, "ask", "x").code == 7
        task = cli("approvals", "ls", "--json").json()["items"][0]
        assert cli("approvals", "decide", task["id"], *given).code == 0
        assert output in cli("run", APP, "--resume", task["run"]).out.replace("'", '"').replace(": 1", ":1")


def test_a_crash_in_the_middle_of_a_tool_without_a_class_is_put_to_a_person(cli):
    assert cli("run", APP, "send", "x").code == 9, "the tool ends the process"
    waits = cli("run", APP, "--resume", "last")
    assert waits.code == 7
    task = cli("approvals", "ls", "--json").json()["items"][0]
    assert (task["kind"], task["tool"]) == ("in_doubt", "send")
    assert cli("approvals", "decide", task["id"], "--approve").code == 2, "it is no approval"
    assert cli("approvals", "decide", task["id"], "--done", '"it arrived"').code == 0
    assert cli("run", APP, "--resume", "last").out == "It says: it arrived\n"


def test_ctrl_c_keeps_the_run(cli, tmp_path):
    process = cli.start("run", APP, "wait", "x", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until_it_waits(process, tmp_path)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The run is kept" in err
    assert "Traceback" not in err
    (tmp_path / "go").touch()
    assert cli("run", APP, "--resume", "last").out == "It says: waited\n"


def test_ctrl_c_ends_though_a_tool_ignores_it(cli, tmp_path):
    cli.environment["HOLDFAST_GRACE_S"] = "0.1"
    slow = cli.start("run", APP, "stay", "x", stderr=subprocess.PIPE)
    until_it_waits(slow, tmp_path)
    slow.send_signal(signal.SIGINT)
    _, err = slow.communicate(timeout=60)
    assert slow.returncode == 130
    assert "The run is kept" in err
    assert "worker.forced" in err
    assert cli("runs", "show", "last", "--json").json()["run"]["state"] == "queued", "it is released"


def test_a_second_ctrl_c_ends_at_once(cli, tmp_path):
    cli.environment["HOLDFAST_GRACE_S"] = "3000"
    slow = cli.start("run", APP, "stay", "x", stderr=subprocess.PIPE)
    until_it_waits(slow, tmp_path)
    slow.send_signal(signal.SIGINT)
    assert "The run is kept" in _until(slow.stderr, "The run is kept")
    slow.send_signal(signal.SIGINT)
    assert slow.wait(timeout=60) == 130
    slow.stderr.close()
    assert cli("runs", "show", "last", "--json").json()["run"]["state"] == "queued", "it is released"


def until_it_waits(process, folder):
    while not (folder / "waiting").exists():
        assert process.poll() is None
        time.sleep(0.02)


def _until(stream, text):
    return next((line for line in stream if text in line), "")


def test_a_task_and_its_input_or_a_run_to_resume(cli):
    for wrong in (["echo"], [], ["echo", "x", "--resume", "last"]):
        assert cli("run", APP, *wrong).code == 2
    assert cli("run", APP, "--resume", "last").code == 5, "there are no runs"
