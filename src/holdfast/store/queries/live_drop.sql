-- live_drop: remove live text of requests that are over, or that is about to be published anew.
-- Each element of the arrays is one range of requests of one run, by the sequence of the event that asked.
delete from holdfast.live l
using unnest(%(runs)s::uuid[], %(firsts)s::bigint[], %(lasts)s::bigint[]) as gone (run, first, last)
where l.tenant = %(tenant)s and l.run = gone.run and l.seq between gone.first and gone.last
