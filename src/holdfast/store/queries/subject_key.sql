-- A subject's key as stored; `wrapped` is null once it was destroyed.
select wrapped, kek from holdfast.subject_keys where tenant = %(tenant)s and subject = %(subject)s
