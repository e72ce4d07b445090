-- The row of a tenant itself, as JSON.
select row_to_json(t)::text from holdfast.tenants t where t.id = %(tenant)s
