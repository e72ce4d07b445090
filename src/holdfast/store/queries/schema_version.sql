-- The migration in force.
select version_num from holdfast.schema_version
