-- A page of all content that a run stored, in the order of its digests.
select digest, body
from holdfast.blobs
where tenant = %(tenant)s and run = %(run)s and digest > %(after)s
order by digest
limit %(limit)s
