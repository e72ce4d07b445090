"""Which runs this process carries: claim, lease, rescue, drain. `docs/internals/engine.md` has the rules."""
