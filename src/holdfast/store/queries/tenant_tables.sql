-- The tables whose rows are a tenant's.
select holdfast.tenant_tables()
