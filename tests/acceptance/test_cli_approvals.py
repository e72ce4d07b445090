"""Approvals on the command line: the same as the interface shows, in lines."""

import re

import pytest

from holdfast.domain.ids import LOCAL_PRINCIPAL
from support.authority import asking, held_for, person, row_of
from support.cli import Cli
from support.store_scene import Scene


@pytest.fixture
def scene(database):
    made = Scene(database)
    yield made
    made.close()


@pytest.fixture
def people(scene):
    """Two administrators beside the local one, by name; the run is somebody else's."""
    ann = person(scene, "user")
    made = {name: person(scene, "admin") for name in ("Ben", "Cy")}
    for name, id_ in made.items():
        scene.admin.execute("update holdfast.principals set name = %s where id = %s", [name, id_])
    scene.admin.execute("update holdfast.principals set name = 'Ann' where id = %s", [ann])
    return {"Ann": ann, **made}


def test_what_waits_is_listed_shown_and_decided_by_two(scene, people, database, tmp_path):
    holdfast = Cli(tmp_path, database)
    asked = asking(scene, held_for(scene, people["Ann"]), "two admins", expires_s=36_000, escalate=[[30_000, "admin"]])
    other = asking(scene, held_for(scene, str(LOCAL_PRINCIPAL)), "admin")
    mine = holdfast("approvals", "ls", "--mine").out
    assert str(asked) in mine
    assert "two admins, 0 of 2" in mine
    assert str(other) not in mine, "the run is one's own"
    shown = holdfast("approvals", "show", str(asked)).out
    for line in ("for Ann; task t", "asks two admins: 0 of 2 agreed", "if nobody answers: ", "then asks admin, "):
        assert line in shown
    assert f"holdfast approvals decide {asked} --digest shown --approve" in shown
    half = holdfast("--principal", "Ben", "approvals", "decide", str(asked), "--approve")
    assert (half.code, "1 of 2 agreed (Ben)" in half.out) == (0, True), half.err
    again = holdfast("--principal", "Ben", "approvals", "decide", str(asked), "--approve")
    assert (again.code, "You have agreed to this already" in again.err) == (6, True)
    refused = holdfast("--principal", "Ann", "approvals", "decide", str(asked), "--approve")
    assert (refused.code, "You are behind this call" in refused.err) == (8, True)
    done = holdfast("--principal", "Cy", "approvals", "decide", str(asked), "--approve")
    assert (done.code, "approved by Ben, Cy" in done.out) == (0, True), done.err
    assert row_of(scene, asked, "state") == "approved"


def test_a_link_is_printed_once_for_one_person(scene, people, database, tmp_path):
    holdfast = Cli(tmp_path, database, HOLDFAST_PUBLIC_URL="https://holdfast.example/")
    asked = asking(scene, held_for(scene, people["Ann"]), "two admins")
    made = holdfast("approvals", "link", str(asked), "--for", "Ben", "--ends-in", "8h")
    assert re.match(r"https://holdfast\.example/links/[\w-]+\.[\w-]+\n", made.out), made.err
    nobody = holdfast("approvals", "link", str(asked), "--for", "Eve")
    assert (nobody.code, "no principal 'Eve'" in nobody.err) == (5, True)
    behind = holdfast("approvals", "link", str(asked), "--for", "Ann")
    assert (behind.code, "would open nothing" in behind.err) == (2, True)
