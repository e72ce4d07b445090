-- The worker processes that a halt waits for, and which have said that they know of it.
select worker, host, pid, alive, knows from holdfast.halt_workers(%(tenant)s, %(halt)s)
