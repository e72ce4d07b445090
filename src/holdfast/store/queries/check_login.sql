-- What the login of this connection could do that no process of Holdfast's may be able to.
select r.rolname as name, r.rolsuper as is_superuser, r.rolbypassrls as bypasses, r.rolcreaterole as makes_roles,
  exists (select from pg_namespace n where n.nspname = 'holdfast' and n.nspowner = r.oid)
    or exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
               where n.nspname = 'holdfast' and c.relowner = r.oid)
    or exists (select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
               where n.nspname = 'holdfast' and p.proowner = r.oid) as owns,
  exists (select from pg_roles m where m.rolname in ('holdfast_engine', 'holdfast_owner')
          and pg_has_role(r.oid, m.oid, 'MEMBER')) as is_member
from pg_roles r where r.rolname = current_user
