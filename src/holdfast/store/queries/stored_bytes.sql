-- How many bytes a run has stored since it was accepted: its events but the first, and the content that this does not name.
-- What people said of its approvals is stored with their decision, or by the run where it came first: at least without
-- it, and with it at most.
with said as (
  select a.edited as digest from holdfast.approvals a where a.tenant = %(tenant)s and a.run = %(run)s
  union
  select h.content from holdfast.approvals a
  join holdfast.approval_history h on h.tenant = a.tenant and h.approval = a.id
  where a.tenant = %(tenant)s and a.run = %(run)s
  union
  select v.content from holdfast.approvals a
  join holdfast.approval_votes v on v.tenant = a.tenant and v.approval = a.id
  where a.tenant = %(tenant)s and a.run = %(run)s
), content as (
  select coalesce(sum(octet_length(b.body)), 0) as size,
    coalesce(sum(octet_length(b.body)) filter (where b.digest in (select s.digest from said s)), 0) as of_people
  from holdfast.blobs b
  where b.tenant = %(tenant)s and b.run = %(run)s and b.digest <> all (%(digests)s::bytea[])
), facts as (
  select coalesce(sum(octet_length(e.body)), 0) as size from holdfast.events e
  where e.tenant = %(tenant)s and e.run = %(run)s and e.seq > 1
)
select (f.size + c.size - c.of_people)::bigint, (f.size + c.size)::bigint from facts f, content c
