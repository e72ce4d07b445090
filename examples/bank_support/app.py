"""Bank support, durable.

    holdfast run examples/bank_support/app.py:app support "I just lost my card!"
    holdfast run examples/bank_support/app.py:app support "My card was stolen, and 480.00 were paid with it!"

The second asks you before it pays, as policy.cedar says. The bank keeps its own ledger in bank.sqlite3 beside this
file (BANK_LEDGER names another); look into it with any SQLite client.
"""

import os
from pathlib import Path

from ledger import Ledger

from holdfast import App, RunScope
from support import Deps, support_agent

LEDGER = Path(os.environ.get("BANK_LEDGER") or Path(__file__).with_name("bank.sqlite3"))


def make_deps(scope: RunScope) -> Deps:
    """The dependencies of one run, built anew on whichever machine carries it."""
    ledger = Ledger(LEDGER)
    ledger.open_account(scope.subject)
    return Deps(customer=scope.subject, ledger=ledger)


app = App("bank", policy="policy.cedar")
app.task("support", agent=support_agent, deps=make_deps)
