"""Policies in Cedar: a file that says which tool calls are free, whom others need, and which there are not.

The way through it: an application's tools (`shape.py`) become actions with typed arguments (`action.py`,
`arguments.py`, `kinds.py`), and those a vocabulary (`vocabulary.py`), which is a Cedar schema. A policy's text is
split into statements (`source.py`), each is read (`statement.py`) and checked against the vocabulary (`meaning.py`,
and `vacuous.py` for what Cedar takes though it is never true). Where all are in order they make a `Policy`
(`load.py`), which gives a verdict on a call (`policy.py`) by asking Cedar about the statements that can be about its
tool (`judge.py`). A `PolicyFile` follows the file (`file.py`). `starter.py` writes a first policy; `cases.py` and
`boundaries.py` try one.

What always holds:

- What is not permitted is denied, and so is what cannot be judged.
- Nothing that is named wrongly is loaded: tools, groups, roles, tasks, environments, labels, arguments and facts.
- A value is shown to a policy as it is, or the call is denied; nothing is rounded or cut.
- A verdict depends on the call, the facts and the policy's digest, and on nothing else.
"""

from holdfast.guards.policy.action import Action
from holdfast.guards.policy.errors import Fault, PolicyError
from holdfast.guards.policy.file import PolicyFile
from holdfast.guards.policy.kinds import Unfit
from holdfast.guards.policy.load import load
from holdfast.guards.policy.policy import Policy
from holdfast.guards.policy.shape import Governed, Risk, ToolShape, governed
from holdfast.guards.policy.statement import Statement
from holdfast.guards.policy.vocabulary import Vocabulary, schema_of, vocabulary_of

__all__ = [
    "Action",
    "Fault",
    "Governed",
    "Policy",
    "PolicyError",
    "PolicyFile",
    "Risk",
    "Statement",
    "ToolShape",
    "Unfit",
    "Vocabulary",
    "governed",
    "load",
    "schema_of",
    "vocabulary_of",
]
