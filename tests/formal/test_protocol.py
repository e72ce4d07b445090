"""The claim-and-fence protocol, explored whole in small worlds. The prose is `docs/internals/protocol.md`."""

import pytest

from formal.broken import CAUGHT, HARMLESS
from formal.explore import Found, explore
from formal.scope import ALL, LARGE, Scope


def _holds(found: Found, scope: Scope) -> None:
    assert not found.violation, "\n".join([f"{scope.name}: {found.violation}, after", *found.trace])
    print(f"{scope.name}: {found.states} states, {found.transitions} transitions, depth {found.depth}")


@pytest.mark.parametrize("scope", ALL, ids=lambda scope: scope.name.split(":")[0])
def test_every_invariant_holds_in_every_state_and_every_state_leads_on(scope):
    found = explore(scope)
    _holds(found, scope)
    assert found.states > 1_000


@pytest.mark.parametrize(("rule", "scope", "said"), CAUGHT, ids=[rule for rule, _, _ in CAUGHT])
def test_a_broken_rule_is_caught(rule, scope, said):
    found = explore(scope.without(rule))
    assert found.violation == said, found.trace
    assert found.trace


@pytest.mark.parametrize(("rule", "scope"), HARMLESS, ids=[rule for rule, _ in HARMLESS])
def test_dropping_a_run_for_nothing_is_safe(rule, scope):
    broken = scope.without(rule)
    _holds(explore(broken), broken)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scope", LARGE, ids=lambda scope: scope.name.split(":")[0])
def test_with_more_misfortunes(scope):
    _holds(explore(scope), scope)
