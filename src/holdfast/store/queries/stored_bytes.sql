-- How many bytes a run has stored since it was accepted: its events but the first, and the content that this does not name.
select (
  (select coalesce(sum(octet_length(body)), 0) from holdfast.events where tenant = %(tenant)s and run = %(run)s and seq > 1)
  + (select coalesce(sum(octet_length(body)), 0) from holdfast.blobs
     where tenant = %(tenant)s and run = %(run)s and digest <> all (%(digests)s::bytea[]))
)::bigint
