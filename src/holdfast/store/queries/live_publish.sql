-- live_publish: add live text. Each element of the arrays is one row: text of one part from character `start` on.
insert into holdfast.live (tenant, run, seq, attempt, part, start, kind, body, length)
select %(tenant)s, row.*
from unnest(%(runs)s::uuid[], %(seqs)s::bigint[], %(attempts)s::int[], %(parts)s::int[], %(starts)s::int[],
            %(kinds)s::text[], %(bodies)s::bytea[], %(lengths)s::int[])
  as row (run, seq, attempt, part, start, kind, body, length)
on conflict do nothing
