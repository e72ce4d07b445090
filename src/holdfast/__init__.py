"""Holdfast: the production runtime for Pydantic AI agents.

`App` and `effect` are all that an application needs; everything else is the command line or HTTP.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.app import App
    from holdfast.domain.approving import Approving, Escalation, EscalationPath
    from holdfast.domain.economy import Cheaper
    from holdfast.domain.errors import HoldfastError, OperatorError, RequestError, UserError
    from holdfast.domain.limits import Limits
    from holdfast.domain.loops import Loops
    from holdfast.domain.recovery import Recovery
    from holdfast.domain.verdict import Ask
    from holdfast.effects.charging import charge, costs
    from holdfast.effects.declare import Declaration, Effect, effect
    from holdfast.guards.policy import Governed, PolicyError, governed
    from holdfast.guards.tally import Tally
    from holdfast.task import RunScope, Task

__all__ = [
    "App",
    "Approving",
    "Ask",
    "Cheaper",
    "Declaration",
    "Effect",
    "Escalation",
    "EscalationPath",
    "Governed",
    "HoldfastError",
    "Limits",
    "Loops",
    "OperatorError",
    "PolicyError",
    "Recovery",
    "RequestError",
    "RunScope",
    "Tally",
    "Task",
    "UserError",
    "charge",
    "costs",
    "effect",
    "governed",
]

__version__ = "0.1.0"

_HOME = {
    "App": "holdfast.app",
    "RunScope": "holdfast.task",
    "Task": "holdfast.task",
    "charge": "holdfast.effects.charging",
    "costs": "holdfast.effects.charging",
    "Declaration": "holdfast.effects.declare",
    "Effect": "holdfast.effects.declare",
    "effect": "holdfast.effects.declare",
    "Governed": "holdfast.guards.policy",
    "PolicyError": "holdfast.guards.policy",
    "governed": "holdfast.guards.policy",
    "Tally": "holdfast.guards.tally",
    "Approving": "holdfast.domain.approving",
    "Escalation": "holdfast.domain.approving",
    "Cheaper": "holdfast.domain.economy",
    "EscalationPath": "holdfast.domain.approving",
    "Limits": "holdfast.domain.limits",
    "Loops": "holdfast.domain.loops",
    "Ask": "holdfast.domain.verdict",
    "Recovery": "holdfast.domain.recovery",
    "HoldfastError": "holdfast.domain.errors",
    "OperatorError": "holdfast.domain.errors",
    "RequestError": "holdfast.domain.errors",
    "UserError": "holdfast.domain.errors",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use, so that the command line starts without Pydantic AI."""
    if name not in _HOME:
        raise AttributeError(f"module 'holdfast' has no attribute '{name}'")
    import importlib

    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value
