-- Gives all runs of a worker back and forgets it. Answers how many runs that were.
select holdfast.leave(%(worker)s)
