"""The Pydantic AI seam: an unchanged agent, made to run durably.

Read `execution.py` first: one claimed run from its journal to its end. Then `outer.py` and `inner.py`, the two
capabilities that bracket the user's own. `docs/internals/engine.md` tells the same in prose.
"""
