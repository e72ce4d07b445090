-- live_context: the events, up to `upto`, that say which model requests of a run are open there.
-- A change of hands closes all that were, so nothing before the last one matters.
select e.seq, e.type, e.at, convert_to(e.body, 'UTF8'), e.hash
from holdfast.events e
where e.tenant = %(tenant)s and e.run = %(run)s and e.seq <= %(upto)s
  and e.seq >= coalesce((
    select max(c.seq) from holdfast.events c
    where c.tenant = %(tenant)s and c.run = %(run)s and c.seq <= %(upto)s and c.type = 'run_claimed'
  ), 0)
  and e.type in ('run_claimed', 'model_requested', 'model_responded', 'model_failed')
order by e.seq
