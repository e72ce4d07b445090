-- A new subject's key. Of several processes that do this at once the first wins; all read the winner's.
insert into holdfast.subject_keys (tenant, subject, wrapped, kek)
values (%(tenant)s, %(subject)s, %(wrapped)s, %(kek)s)
on conflict do nothing
