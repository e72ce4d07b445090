-- Runs that did anything from one day to another, by id, behind one.
select distinct run
from holdfast.ledger
where tenant = %(tenant)s
  and day between %(since)s and %(until)s
  and (%(only)s::text is null or %(only)s in (principal, requested_by))
  and (%(after)s::uuid is null or run > %(after)s)
order by run
limit %(limit)s
