-- What became of members whose reply was lost, one row per run of one tenant: the run as it stands, and the
-- hash at the sequence where the member's last event would be. Ours there means that it was committed.
select w.run, r.seq, r.head, e.hash, r.inbox_seq, r.cancelling
from unnest(%(runs)s::uuid[], %(seqs)s::bigint[]) as w (run, seq)
left join holdfast.runs r on r.tenant = %(tenant)s and r.id = w.run
left join holdfast.events e on e.tenant = %(tenant)s and e.run = w.run and e.seq = w.seq
