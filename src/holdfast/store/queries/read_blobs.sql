-- Content by name, from any runs of one tenant: `runs` and `digests` belong together by position.
select b.run, b.digest, b.body
from unnest(%(runs)s::uuid[], %(digests)s::bytea[]) as w (run, digest)
join holdfast.blobs b on b.tenant = %(tenant)s and b.run = w.run and b.digest = w.digest
