-- Signals: what others tell a run. They never write its journal; whoever holds the run folds them in.

-- Puts a signal into a run's inbox and wakes the run if it is parked, both or neither. The update is unconditional:
-- a run may park or end only if it has folded in everything up to `inbox_seq`, so no signal is slept through.
-- 'delivered'; 'repeated' when this came before; 'finished' or 'absent' is the run; 'too_many_bytes' when the tenant has as many
-- as it may and this is a message: what people decide, and what ends a run, is always heard.
create function deliver_signal(
  p_tenant uuid, p_run uuid, p_kind text, p_body text, p_content bytea, p_digest bytea, p_by text, p_dedupe text
) returns table (outcome text, seq bigint)
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
#variable_conflict use_column
declare
  moment timestamptz := holdfast.now();
  target runs;
  repeated bigint;
  is_over boolean;
begin
  perform must_be_durable();
  perform must_be_tenant(p_tenant);
  is_over := p_kind = 'message' and over_bytes(p_tenant);  -- before the run is locked, as who changes rights does it
  select * into target from runs r where r.tenant = p_tenant and r.id = p_run for no key update;
  if not found then
    return query select 'absent', null::bigint;
    return;
  end if;
  select s.seq into repeated from signals s where s.tenant = p_tenant and s.run = p_run and s.dedupe = p_dedupe;
  if found then
    return query select 'repeated', repeated;
    return;
  end if;
  if target.state in ('succeeded', 'failed', 'cancelled') then
    return query select 'finished', null::bigint;
    return;
  end if;
  if is_over then
    return query select 'too_many_bytes', null::bigint;
    return;
  end if;

  insert into signals (tenant, run, seq, kind, body, content, digest, by, dedupe, at)
  values (p_tenant, p_run, target.inbox_seq + 1, p_kind, p_body, p_content, p_digest, p_by, p_dedupe, moment);
  update runs r set
    inbox_seq = r.inbox_seq + 1,
    cancelling = r.cancelling or p_kind = 'cancel',
    state = case when r.state = 'parked' then 'queued' else r.state end,
    queued_at = case when r.state = 'parked' then moment else r.queued_at end,
    waiting_on = null, wake_at = null, unserved = false, updated_at = moment
  where r.tenant = p_tenant and r.id = p_run;
  return query select 'delivered', target.inbox_seq + 1;
end $$;

grant execute on function deliver_signal(uuid, uuid, text, text, bytea, bytea, text, text) to holdfast_worker, holdfast_api;
