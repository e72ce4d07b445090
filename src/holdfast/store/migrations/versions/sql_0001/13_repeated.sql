-- Requests that come again: whoever repeats one is told what the first made, and nothing is made twice.

-- 'repeated' with what was made, 'conflict' when the key came with another request, no row when it never came.
create function accepted_before(p_tenant uuid, p_scope text, p_key text, p_request bytea)
returns table (outcome text, made uuid)
language plpgsql stable security definer set search_path = holdfast, pg_temp
as $$
#variable_conflict use_column
begin
  perform must_be_tenant(p_tenant);
  return query select case when k.request = p_request then 'repeated' else 'conflict' end, k.made
    from idempotency_keys k where k.tenant = p_tenant and k.scope = p_scope and k.key = p_key;
end $$;

-- Whether a request with this key came before. Asked under a lock that whoever else brings the key waits for.
create function asked_before(p_tenant uuid, p_scope text, p_key text) returns boolean
language sql stable set search_path = holdfast, pg_temp
as $$
  select exists (select from idempotency_keys k where k.tenant = p_tenant and k.scope = p_scope and k.key = p_key)
$$;

-- Keeps what a request with a key made, where it has one. What was refused is not kept: the same may come again.
create function keep_request(p_tenant uuid, p_scope text, p_key text, p_request bytea, p_made uuid) returns void
language sql volatile set search_path = holdfast, pg_temp
as $$
  insert into idempotency_keys (tenant, scope, key, request, made, at)
  select p_tenant, p_scope, p_key, p_request, p_made, holdfast.now() where p_key is not null
$$;

grant execute on function accepted_before(uuid, text, text, bytea) to holdfast_worker, holdfast_api;
