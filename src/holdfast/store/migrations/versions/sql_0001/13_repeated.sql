-- A request that came before, though it could not be accepted now: whoever repeats it is told of the first run.

-- 'repeated' with the run, 'conflict' when the key came with another request, no row when it never came.
create function accepted_before(p_tenant uuid, p_scope text, p_key text, p_request bytea)
returns table (outcome text, run uuid)
language plpgsql stable security definer set search_path = holdfast, pg_temp
as $$
#variable_conflict use_column
begin
  perform must_be_tenant(p_tenant);
  return query select case when k.request = p_request then 'repeated' else 'conflict' end, k.run
    from idempotency_keys k where k.tenant = p_tenant and k.scope = p_scope and k.key = p_key;
end $$;

grant execute on function accepted_before(uuid, text, text, bytea) to holdfast_worker, holdfast_api;
