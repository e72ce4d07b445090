"""From text to a policy in force, or to all that is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.guards.policy import cedar
from holdfast.guards.policy.errors import Fault, PolicyError
from holdfast.guards.policy.meaning import Meaning
from holdfast.guards.policy.policy import Policy
from holdfast.guards.policy.source import Source
from holdfast.guards.policy.statement import Statement, conditions_of, form_faults, names_of, statement_of
from holdfast.guards.policy.syntax import syntax_fault
from holdfast.guards.policy.vacuous import Vacuous

if TYPE_CHECKING:
    from holdfast.guards.policy.vocabulary import Vocabulary


def load(text: str, vocabulary: Vocabulary, path: str = "policy.cedar") -> Policy:
    """The policy that `text` states.

    Args:
        text: what stands in the file.
        vocabulary: the tools it may speak of.
        path: what to call the file in errors.

    Raises:
        PolicyError: it cannot be read, or speaks of what there is not. All faults are told, each with its place.
    """
    source = Source(text)
    pieces, faults = source.split()
    meaning = Meaning(vocabulary, cedar.schema(vocabulary.schema))
    statements: list[Statement] = []
    for piece in pieces:
        try:
            parsed = cedar.parsed(piece.text)
        except cedar.CedarRefused as error:
            faults.append(syntax_fault(piece, source, str(error)))
            continue
        found = [*form_faults(parsed, piece, source), *meaning.faults(piece, source, names_of(parsed))]
        if not found:
            statement = statement_of(parsed, piece, source)
            about = [action for action in vocabulary.actions.values() if statement.covers(action)]
            found = list(Vacuous(piece, source, vocabulary, about).faults(conditions_of(parsed))) if about else []
            statements.append(statement)
        faults += found
    faults += _repeated(statements)
    if not pieces and not faults:
        advice = (
            "Write one with `holdfast policy init`; to deny everything, say so: forbid (principal, action, resource);"
        )
        faults.append(Fault(0, 0, "It states nothing, so that everything would be denied.", advice))
    if faults:
        raise PolicyError(path, sorted(faults, key=lambda fault: (fault.line, fault.column)))
    return Policy(text, path, vocabulary, statements)


def _repeated(statements: list[Statement]) -> list[Fault]:
    """Ids name one statement each: they stand in journals."""
    found: list[Fault] = []
    seen: dict[str, Statement] = {}
    for one in statements:
        other = seen.setdefault(one.id, one)
        if other is not one:
            what = f'@id("{one.id}") stands at line {other.line} already.'
            found.append(Fault(one.line, 1, what, "Give each statement its own."))
    return found
