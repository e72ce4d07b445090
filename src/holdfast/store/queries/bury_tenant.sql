-- Ends the deletion of a tenant, for the platform; the evidence of it (JSON), of before where it was ended before.
select coalesce(holdfast.bury_tenant(%(tenant)s, %(by)s), (
  select l.details from holdfast.audit_log l
  where l.tenant = '00000000-0000-7000-8000-000000000000' and l.action = 'tenant.deleted' and l.target = %(tenant)s::uuid::text
  order by l.at desc limit 1))
