-- live_read: live text of these requests that a reader has not seen.
-- The `seen_` arrays say how many characters of which part it has: rows that end there or before are left out.
select l.seq, l.attempt, l.part, l.start, l.kind, l.body
from holdfast.live l
where l.tenant = %(tenant)s and l.run = %(run)s and l.seq = any(%(seqs)s::bigint[])
  and not exists (
    select from unnest(%(seen_seqs)s::bigint[], %(seen_attempts)s::int[], %(seen_parts)s::int[], %(seen_offsets)s::int[])
      as seen (seq, attempt, part, "offset")
    where seen.seq = l.seq and seen.attempt = l.attempt and seen.part = l.part
      and l.start + l.length <= seen."offset"
  )
order by l.seq, l.attempt, l.part, l.start
