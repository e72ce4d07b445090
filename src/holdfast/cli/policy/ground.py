"""What every command about policies stands on: the app, and the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.domain.errors import UserError
from holdfast.guards.policy import Policy, PolicyFile, Vocabulary
from holdfast.loading import load_app

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.app import App
    from holdfast.domain.verdict import Rule
    from holdfast.guards.policy.cases import Case

FILE = "policy.cedar"
CASES = ".cases.yaml"


def policy_path(app: App, given: Path | None = None) -> Path:
    """The policy's file: the one given, the app's, or the one that lies beside the app."""
    return given or app.policy_path or app.home / FILE


def read_policy(path: Path, vocabulary: Vocabulary) -> Policy:
    """The policy in a file.

    Raises:
        PolicyError: it cannot be read, or is not in order.
    """
    return PolicyFile(path, vocabulary).policy


def app_policy(reference: str, given: Path | None) -> tuple[App, Policy]:
    """An app, and its policy.

    Raises:
        UserError: the app, its tools or the policy are not in order.
    """
    app = load_app(reference)
    return app, read_policy(policy_path(app, given), app.vocabulary())


def cases_in(path: Path, vocabulary: Vocabulary) -> Sequence[Case]:
    """The cases in a file.

    Raises:
        UserError: it cannot be read, or is not of their form.
    """
    import yaml

    from holdfast.guards.policy.cases import read_cases

    try:
        found: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: the cases cannot be read: {error}.") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: the cases are no YAML: {' '.join(str(error).split())}.") from None
    return read_cases(found or [], str(path), vocabulary)


def text_of(policy: Policy, rule: Rule) -> str:
    """The source text of a statement that decided."""
    return next(one.text for one in policy.statements if one.id == rule.id)
