"""Random votes, edits, changes of roles and of time on one task, in the database and in a model, seed by seed.

HOLDFAST_APPROVAL_SEEDS=100000 runs more of them.
"""

import hashlib
import os
from random import Random
from uuid import UUID

import pytest

from simulation.approvals_model import Model, Person
from support.authority import asking, change, held_for, person, row_of, told
from support.store_scene import Member, Scene, outcomes

SEEDS = int(os.environ.get("HOLDFAST_APPROVAL_SEEDS", "300"))
HOUR_S = 3600
ASKS = ("user", "", "approver", "admin", "two approvers", "two admins", "three approvers")
ROLES = ("user", "approver", "admin", "auditor")
SEEN = {
    *(("decide", outcome) for outcome in ("decided", "voted", "edited", "already", "again", "mismatch", "cancelling")),
    *(("refused", why) for why in ("no_person", "disabled", "not_behind", "requester", "role", "beholden")),
    *(("state", state) for state in ("pending", "approved", "rejected", "expired", "void")),
    *(("state", state) for state in ("answered", "declined")),
    ("tick", "expired"),
    ("tick", "escalated"),
}
"""Every kind of answer there is: seeds that miss one prove less than they seem to."""


class Seed:
    """One task's life in both."""

    def __init__(self, scene: Scene, number: int, seen: set[tuple[str, str]], *, is_question: bool) -> None:
        self.scene, self.rng, self.seen = scene, Random(number), seen
        self.log: list[str] = [f"seed {number}"]
        rng, people = self.rng, {}
        for _ in range(rng.randint(3, 6)):
            roles = rng.sample(ROLES, rng.randint(0, 2))
            service = rng.random() < 0.15
            id_ = person(scene, *roles, kind="service" if service else "person")
            people[id_] = Person(id_, service, roles=dict.fromkeys(roles, ("founder", 0)), since=0)
        ids = list(people)
        principal = rng.choice(ids)
        requested_by = rng.choice([None, None, rng.choice(ids)])
        requested_by = None if requested_by == principal else requested_by
        expires = rng.choice([None, rng.randint(1, 60)])
        chain = sorted({rng.randint(1, 60): rng.choice(ASKS[2:]) for _ in range(rng.choice([0, 0, 1, 2]))}.items())
        self.model = Model(
            people,
            principal,
            requested_by,
            rng.choice(ASKS),
            rng.choice([0, 24]),
            expires,
            list(chain),
            is_question=is_question,
        )
        self.held = held_for(scene, principal, requested_by)
        more = {"escalate": [[at * HOUR_S, ask] for at, ask in chain]}
        more |= {"kind": "question"} if self.model.is_question else {}
        if expires is not None:
            more["expires_s"] = expires * HOUR_S
        self.task: UUID = asking(scene, self.held, self.model.ask, park=False, **more)

    def run(self) -> None:
        for _ in range(self.rng.randint(4, 18)):
            act = self.rng.choice([self.vote] * 7 + [self.roles, self.roles, self.time, self.newcomer, self.end])
            act()
            self.compare()

    def vote(self) -> None:
        rng, model = self.rng, self.model
        who = rng.choice([*model.people, "nobody"])
        if rng.random() < 0.5:  # somebody who may, where there is one
            who = rng.choice([one for one in model.people if model.refusal(one) is None] or [who])
        verdict = "rejected" if rng.random() < 0.07 else "approved"
        if model.is_question:
            verdict = "declined" if rng.random() < 0.3 else "answered"
        edit = rng.choice(["a", "b", "c"]) if verdict == "approved" and rng.random() < 0.15 else None
        digest = model.digest if rng.random() < 0.93 else "shown" if model.digest != "shown" else "other"
        content = None if edit is None else edit.encode()
        said = self.scene.decide(
            self.task, verdict, digest, by=who, content=content, newcomer_s=model.newcomer * HOUR_S
        )  # fmt: skip
        args = None if content is None else hashlib.sha256(content).hexdigest()
        expected = model.decide(who, verdict, digest, args)
        self.log.append(f"{who} {verdict} {digest[:6]} {edit}: {said.outcome} {said.why}")
        self.seen |= {("decide", said.outcome), ("refused", said.why or "")}
        assert (said.outcome, said.why) == expected, self.told()

    def roles(self) -> None:
        rng, model = self.rng, self.model
        who, by = rng.choice(list(model.people)), rng.choice([*model.people, "founder"])
        target, role = model.people[who], rng.choice(["approver", "admin"])
        match rng.choice(["grant", "revoke", "disable"]):
            case "grant":
                if change(self.scene, "grant_role", who, role, by=by) == "changed":
                    target.roles[role] = (by, model.now)
            case "revoke":
                if change(self.scene, "revoke_role", who, role, by=by) == "changed":
                    del target.roles[role]
            case _:
                disabled = not target.disabled
                if change(self.scene, "set_disabled", who, disabled, by=by) == "changed":
                    target.disabled = disabled
        self.log.append(f"roles of {who}: {target}")

    def newcomer(self) -> None:
        by = self.rng.choice([*self.model.people, "founder"])
        id_ = person(self.scene, "approver", by=by)
        made = Person(id_, by=by, since=self.model.now, roles={"approver": (by, self.model.now)})
        self.model.people[id_] = made
        self.log.append(f"{by} admitted {id_}")

    def time(self) -> None:
        hours = self.rng.choice([1, 5, 20, 30])
        self.scene.move_clock(hours * HOUR_S)
        self.model.now += hours
        if self.rng.random() < 0.7:
            ticked = self.scene.tick()
            expired, escalated = self.model.pass_time()
            self.log.append(f"{hours} hours: {ticked}")
            self.seen |= {("tick", name) for name in ticked}
            assert (ticked.get("expired", 0), ticked.get("escalated", 0)) == (expired, escalated), self.told()

    def end(self) -> None:
        """The run is cancelled, or ends."""
        if self.rng.random() < 0.5:
            return
        if self.rng.random() < 0.5:
            self.model.cancelling = (
                self.scene.signal(self.held.run, "cancel").outcome == "delivered" or self.model.cancelling
            )
            return
        inbox = self.scene.row(self.held.run)["inbox_seq"]
        if outcomes(self.scene.worker, Member(self.held, next={"state": "failed"}, folded=inbox)) == ["appended"]:
            self.model.ended = True
            if self.model.state == "pending":
                self.model.state = "void"

    def compare(self) -> None:
        state, by, digest, ask, requesters = row_of(
            self.scene, self.task, "state", "decided_by", "digest", "ask", "requesters"
        )
        model = self.model
        self.seen.add(("state", state))
        assert (state, by, digest, ask, requesters) == (
            model.state, model.by, model.digest, model.ask, model.requesters
        ), self.told()  # fmt: skip
        found = [
            (one["verdict"], one["digest"], tuple(one["voters"]), one["ask"]) for one in told(self.scene, self.held.run)
        ]
        assert found == model.told, self.told()
        assert len(found) <= 1, "a run is told once"

    def told(self) -> str:
        return "\n".join(self.log)


def run_seeds(scene: Scene, count: int, seen: set[tuple[str, str]]) -> None:
    for number in range(count):
        # A question has fewer rules than an approval, and takes fewer seeds.
        for is_question in (False, True) if number % 4 == 0 else (False,):
            Seed(scene, number, seen, is_question=is_question).run()
            scene.admin.execute("truncate holdfast.runs, holdfast.approvals, holdfast.principals, holdfast.memberships")
            scene.admin.execute("update holdfast.clock set skew = '0'")


@pytest.fixture
def scene(database):
    made = Scene(database)
    yield made
    made.close()


@pytest.mark.timeout(900)
def test_the_database_decides_as_the_model_does(scene):
    seen = set[tuple[str, str]]()
    run_seeds(scene, SEEDS, seen)
    if SEEDS >= 300:
        assert SEEN - seen == set()


@pytest.mark.parametrize("sabotage", ["requester", "beholden", "digest", "questions"])
def test_a_rule_that_is_not_kept_is_found(scene, sabotage):
    """The seeds find what they are there to find."""
    what, by = {
        "requester": ("if p_actor = any (task.requesters) and", "if false and"),
        "beholden": ("and is_beholden(task, p_actor, p_newcomer) then", "and false then"),
        "questions": ("and authorises(task) then", "then"),
        "digest": ("when task.digest <> p_digest then 'mismatch'", "when false then 'mismatch'"),
    }[sabotage]
    function = "decide_approval" if sabotage == "digest" else "refusal"
    text = scene.one("select pg_get_functiondef(oid) from pg_proc where proname = %s", function)
    assert what in text
    scene.admin.execute(text.replace(what, by))
    with pytest.raises(AssertionError):
        run_seeds(scene, 300, set())
