-- Gives runs of a worker back to the queue. Answers how many were its.
select holdfast.release_runs(%(worker)s, %(runs)s, %(failed)s)
