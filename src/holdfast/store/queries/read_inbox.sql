-- The signals of a run that its holder has not folded in yet, in the order in which they were delivered.
select seq, kind, body, content, digest, by
from holdfast.signals
where tenant = %(tenant)s and run = %(run)s and seq > %(after)s
order by seq
