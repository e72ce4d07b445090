-- live_vanished: of these attempts, those whose first row is gone. The table is unlogged: a crash of the server
-- empties it, and the publisher must then publish again what it had.
select published.nth
from unnest(%(runs)s::uuid[], %(seqs)s::bigint[], %(attempts)s::int[], %(parts)s::int[])
  with ordinality as published (run, seq, attempt, part, nth)
where not exists (
  select from holdfast.live l
  where l.tenant = %(tenant)s and l.run = published.run and l.seq = published.seq
    and l.attempt = published.attempt and l.part = published.part and l.start = 0
)
