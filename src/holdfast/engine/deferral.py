"""Calls that wait for somebody, as stored: a tool's own question, one of policy, or an answer from outside."""

from __future__ import annotations

from pydantic_ai.exceptions import ApprovalRequired, CallDeferred

from holdfast.domain.verdict import Ask, Decision, Rule, Verdict
from holdfast.engine.codec import dump_json, parse
from holdfast.engine.verdicts import PolicyAsks


def dump_deferral(deferred: ApprovalRequired | CallDeferred) -> bytes:
    """How a call was deferred. What policy said is kept whole: another may be in force when people are asked."""
    if isinstance(deferred, PolicyAsks):
        verdict = deferred.verdict
        return dump_json(
            {
                "kind": "policy",
                "received": deferred.received.decode(),
                "ask": str(verdict.ask),
                "policy": verdict.policy,
                "reason": verdict.reason,
                "rules": [{"id": rule.id, "line": rule.line, "reason": rule.reason} for rule in verdict.rules],
                "seen": dict(verdict.seen),
                "facts": dict(verdict.facts),
            }
        )
    kind = "approval" if isinstance(deferred, ApprovalRequired) else deferred.kind
    return dump_json({"kind": kind, "metadata": deferred.metadata})


def deferred_again(stored: bytes) -> ApprovalRequired | CallDeferred:
    """What was raised when the call was deferred, to be raised again."""
    how = parse(stored)
    match how["kind"]:
        case "policy":
            verdict = Verdict(
                Decision.ASK,
                how["policy"],
                how["reason"],
                Ask.parse(how["ask"]),
                tuple(Rule(**rule) for rule in how["rules"]),
                how["seen"],
                how["facts"],
            )
            return PolicyAsks(verdict, how["received"].encode())
        case "approval":
            return ApprovalRequired(metadata=how["metadata"])
        case kind:
            return CallDeferred(metadata=how["metadata"], kind="question" if kind == "question" else "external")
