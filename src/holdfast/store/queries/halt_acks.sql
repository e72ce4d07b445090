-- What workers have said of a halt, in the order in which they heard of it.
select worker, host, pid, at, dispatched_at, cancelled_at, finished_at, in_flight
from holdfast.halt_acks where tenant = %(tenant)s and halt = %(halt)s order by at, worker
