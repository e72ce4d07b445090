"""`holdfast demo`: a run whose worker is killed in the middle of a payment.

`app.py` is what a user would write. `bank.py` is the outside world: a bank behind HTTP, with a ledger of its own,
that can be told to book a payment and say nothing. `stage.py` has the processes, `play.py` what happens to them,
and `promises.py` what must be true afterwards, looked up where each thing is known best: in the bank's ledger, the
model provider's log, and the journal.
"""
