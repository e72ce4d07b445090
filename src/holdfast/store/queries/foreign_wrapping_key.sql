-- The id of a wrapping key, other than the one given, under which a subject's key of this tenant is wrapped.
select kek from holdfast.subject_keys
where tenant = %(tenant)s and wrapped is not null and kek <> %(kek)s
limit 1
