"""Use cases: one function each, verb-noun, shared by API, command line and console. None of them runs agents.

Each takes `Services` (what a process has) and `Who` (the tenant and the person asking) and answers with a
view. What they put into a run goes through its inbox or, at the start, through `accept_run`: only the worker
that holds a run writes its journal.

Content of signals, so that the engine can keep it as it is: sealed JSON under the run's subject. A
cancellation and a rejection carry their reason as a string, a message its text, an approval the edited
arguments as an object, an effect done its bare result.
"""
