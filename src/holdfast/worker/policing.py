"""Policy in a worker: in force before anything is claimed, and replaced when a new version of its file is in order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from holdfast.engine.governor import Governor
from holdfast.observe.logs import logger
from holdfast.observe.names import LogEvent

if TYPE_CHECKING:
    from holdfast.app import App
    from holdfast.guards.policy import PolicyFile
    from holdfast.settings import Settings

_LOOK_S = 1.0


def governor_of(app: App, settings: Settings, policy: PolicyFile | None) -> Governor:
    """What decides about the calls of an app's runs in this process."""
    return Governor(
        policy=None if policy is None else policy.policy,
        tallies=app.tallies,
        env=app.env or settings.env,
        zone=ZoneInfo(settings.time_zone),
    )


async def keep_in_force(policy: PolicyFile, governor: Governor) -> None:
    """Look at the file again and again, until cancelled. A version that is not in order is told of once."""
    log = logger("policy")
    told: object = None
    while True:
        await asyncio.sleep(_LOOK_S)
        before = governor.policy
        # Reading is nothing, but a large policy takes a while to parse.
        governor.policy = found = await asyncio.to_thread(policy.check)
        if found is not before:
            log.info(LogEvent.POLICY_CHANGED, policy=found.digest)
        if policy.error is not None and policy.error is not told:
            log.error(LogEvent.POLICY_REFUSED, error=str(policy.error), in_force=found.digest)
        told = policy.error
