-- How many connections the server keeps free, null before it can; and whether a login may have them.
select current_setting('reserved_connections', true)::int,
  exists (select from pg_auth_members m join pg_roles kept on kept.oid = m.roleid join pg_roles who on who.oid = m.member
          where kept.rolname = 'pg_use_reserved_connections' and who.rolname = %(login)s)
