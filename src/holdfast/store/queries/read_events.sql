-- A page of a run's journal after a sequence, oldest first. Bodies as bytes: they are what was hashed.
select seq, type, at, convert_to(body, 'UTF8'), hash
from holdfast.events
where tenant = %(tenant)s and run = %(run)s and seq > %(after)s
order by seq
limit %(limit)s
