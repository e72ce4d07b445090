-- Closing a human task that nobody needs to decide any more: the journal says what became of its effect. Part of `append`,
-- so that the task is closed with the fact that closes it, or neither. One that a person decided meanwhile stays as it is:
-- `decide_approval` locks the run first, as `append` does, so that they never meet.
set local role holdfast_engine;

-- The members that close a task whose row somebody else holds.
create function closing_obstructed(m_tenant uuid[], m_run uuid[], verdict text[], tasks jsonb) returns int[]
language sql set search_path = holdfast, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
  select array_agg(x.m) from jsonb_to_recordset(tasks) as x (m int, id uuid, closed text)
  where verdict[x.m] = 'appended' and x.closed is not null
    and exists (select from approvals a where a.tenant = m_tenant[x.m] and a.id = x.id and a.run = m_run[x.m]
                and a.state = 'pending')
    and not exists (select from approvals a where a.tenant = m_tenant[x.m] and a.id = x.id for no key update skip locked)
$$;

create function close_approvals(m_tenant uuid[], m_run uuid[], verdict text[], tasks jsonb, moment timestamptz) returns void
language sql set search_path = holdfast, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
  update approvals a set state = x.closed, decided_at = moment, decided_by = x.by, due_at = null
  from jsonb_to_recordset(tasks) as x (m int, id uuid, closed text, by text)
  where verdict[x.m] = 'appended' and x.closed is not null
    and a.tenant = m_tenant[x.m] and a.id = x.id and a.run = m_run[x.m] and a.state = 'pending'
$$;
set local role holdfast_owner;
