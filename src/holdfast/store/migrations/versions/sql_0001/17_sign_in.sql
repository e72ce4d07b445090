-- Signing in with a token: from the name of a tenant to who the token means in it, in one call.

-- Whom an issuer means by a subject in the tenant of this name, as they stand now. All but the tenant is null where the
-- subject has not been seen there; no row where there is no such tenant, or nobody gets into it. It reads as its caller, in
-- that tenant.
create function find_identity(p_name text, p_issuer text, p_subject text)
returns table (tenant uuid, issued_at timestamptz, principal uuid, kind text, name text, disabled boolean, roles text[])
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
#variable_conflict use_column
declare
  home uuid := find_tenant(p_name);
  before text;
begin
  if home is null then
    return;
  end if;
  before := look_into(home);
  return query
    select t.id, i.issued_at, p.id, p.kind, p.name, p.disabled_at is not null,
      array(select m.role from memberships m where m.tenant = p.tenant and m.principal = p.id)
    from tenants t
      left join identities i on i.tenant = t.id and i.issuer = p_issuer and i.subject = p_subject
      left join principals p on p.tenant = i.tenant and p.id = i.principal
    where t.id = home and t.state in ('active', 'suspended');
  perform set_config('holdfast.tenant', before, true);
end $$;

grant execute on function look_into(uuid), find_identity(text, text, text) to holdfast_api;
