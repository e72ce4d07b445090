"""What actors are called: a name says who somebody is, and never that they are something else."""

import pytest

from holdfast.service.manage_principals import invite_principal
from holdfast.service.names import name_of


@pytest.mark.parametrize(
    "posed", ["platform:os:root", "os:root", "os:root as Ada", "0190a1b2-0000-7000-8000-00000000000a"]
)
async def test_a_name_that_reads_as_another_actor_is_in_quotes(services, posed):
    made = await invite_principal(services, services.caller, posed)
    tenant = services.caller.tenant
    assert await name_of(services, tenant, posed) == posed, "an actor of that kind is called what it is"
    assert await name_of(services, tenant, str(made.id)) == f"'{posed}'"
    assert await name_of(services, tenant, f"os:me as {made.id}") == f"os:me as '{posed}'"


async def test_other_names_stay_as_they_are(services):
    made = await invite_principal(services, services.caller, "Ann O'Neil, as ever")
    assert await name_of(services, services.caller.tenant, str(made.id)) == "Ann O'Neil, as ever"
