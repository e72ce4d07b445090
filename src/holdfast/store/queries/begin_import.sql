-- Begins to bring a tenant in, for the platform.
select holdfast.begin_import(%(tenant)s, %(name)s, %(created_at)s, %(time_zone)s, %(ceilings)s, %(by)s)
