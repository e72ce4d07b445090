-- The append: the only way by which a journal grows.
set local role holdfast_engine;

-- Whether a halt covers this run or, where they are given, any of these tools and models, as 'tool:refund'. A model may be
-- halted with its provider's name in front. Only asked when there is any halt at all.
create function is_halted(p_tenant uuid, p_run uuid, p_task text, p_session uuid, p_principal text, p_names jsonb)
returns boolean
language sql stable set search_path = holdfast, pg_temp
as $$
  select exists (select from halts h where h.lifted_at is null and h.tenant = '00000000-0000-7000-8000-000000000000'
                 and h.scope = 'everything')
    or exists (select from halts h where h.lifted_at is null and h.tenant = p_tenant and (h.scope = 'tenant'
      or (h.scope = 'task' and h.key = p_task) or (h.scope = 'run' and h.key = p_run::text)
      or (h.scope = 'session' and h.key = p_session::text) or (h.scope = 'user' and h.key = p_principal)
      or (h.scope in ('tool', 'model') and exists (
        select from jsonb_array_elements_text(p_names) n
        where n = h.scope || ':' || h.key or (h.scope = 'model' and n = 'model' || right(h.key, length(n) - 5))))))
$$;

-- What a halt makes of an intent: 'halted'; 'unnamed' where it hangs on which tool or model that is, and the writer has not
-- said; null: it may go on. Only asked when there is any halt at all.
create function held_back(p_tenant uuid, p_run uuid, p_task text, p_session uuid, p_principal text, p_names jsonb)
returns text
language sql stable set search_path = holdfast, pg_temp
as $$
  select case
    when is_halted(p_tenant, p_run, p_task, p_session, p_principal, p_names) then 'halted'
    when p_names is null and exists (select from halts h where h.lifted_at is null and h.tenant = p_tenant
                                     and h.scope in ('tool', 'model')) then 'unnamed'
  end
$$;

-- The rows beside its run that a member will write, locked where that can be done without waiting. Answers the
-- members for which it cannot: they are busy, and the rest of the batch goes on.
create function append_obstructed(m_tenant uuid[], m_run uuid[], verdict text[], rare jsonb) returns int[]
language plpgsql security definer set search_path = holdfast, pg_temp
  set plan_cache_mode = force_generic_plan set jit = off
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  obstructed int[] := '{}';
  more int[];
begin
  if rare ? 'approvals' then
    obstructed := obstructed || closing_obstructed(m_tenant, m_run, verdict, rare -> 'approvals');
  end if;
  if rare ? 'tallies' then
    obstructed := obstructed || tallies_obstructed(m_tenant, m_run, verdict, rare -> 'tallies');
  end if;
  if rare ? 'next' then
    select array_agg(x.m) into more
    from jsonb_to_recordset(rare -> 'next') as x (m int, state text),
      lateral (select count(*) as present from approvals a where a.tenant = m_tenant[x.m] and a.run = m_run[x.m]
               and a.state = 'pending' and a.kind <> 'in_doubt') p,
      lateral (select count(*) as locked from (select from approvals a where a.tenant = m_tenant[x.m]
               and a.run = m_run[x.m] and a.state = 'pending' and a.kind <> 'in_doubt'
               for no key update skip locked) l) l
    where verdict[x.m] = 'appended' and x.state <> 'parked' and p.present <> l.locked;
    obstructed := obstructed || more;

    select array_agg(x.m) into more
    from jsonb_to_recordset(rare -> 'next') as x (m int, state text),
      lateral (select r.session from runs r where r.tenant = m_tenant[x.m] and r.id = m_run[x.m]) r
    where verdict[x.m] = 'appended' and x.state = 'succeeded'
      and exists (select from sessions s where s.tenant = m_tenant[x.m] and s.id = r.session)
      and not exists (select from sessions s where s.tenant = m_tenant[x.m] and s.id = r.session
                      for no key update skip locked);
    obstructed := obstructed || more;
  end if;
  return obstructed;
end $$;

-- What an append writes now and then: human tasks, and what the end of a run settles.
create function append_rare(m_tenant uuid[], m_run uuid[], verdict text[], rare jsonb, moment timestamptz) returns void
language plpgsql security definer set search_path = holdfast, pg_temp
  set plan_cache_mode = force_generic_plan set jit = off
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
  if rare ? 'approvals' then
    perform open_approvals(m_tenant, m_run, verdict, rare -> 'approvals', moment);
    perform close_approvals(m_tenant, m_run, verdict, rare -> 'approvals', moment);
  end if;
  if rare ? 'tallies' then
    perform write_tallies(m_tenant, m_run, verdict, rare -> 'tallies', moment);
  end if;
  if rare ? 'next' then
    update approvals a set state = 'void', decided_at = moment, due_at = null
    from jsonb_to_recordset(rare -> 'next') as x (m int, state text)
    where verdict[x.m] = 'appended' and x.state <> 'parked' and a.tenant = m_tenant[x.m] and a.run = m_run[x.m]
      and a.state = 'pending' and a.kind <> 'in_doubt';
    update sessions s set last_run = r.id
    from jsonb_to_recordset(rare -> 'next') as x (m int, state text),
      lateral (select q.id, q.session from runs q where q.tenant = m_tenant[x.m] and q.id = m_run[x.m]) r
    where verdict[x.m] = 'appended' and x.state = 'succeeded' and s.tenant = m_tenant[x.m] and s.id = r.session;
  end if;
end $$;

-- Appends the next events of many runs. See docs/internals/store.md for what each member carries and what is answered.
--
-- Each statement inside has a snapshot of its own: the halts are read after the halt lock is held, so that once a
-- halt has been acknowledged no intent commits. A call costs what its statements cost to start, so there are two: one
-- locks and judges, one writes. Members are read by subscript, since each unnest of an array fills a store of its own.
-- The plans are generic and are told to go by index: the arrays have unknown lengths, and a plan made when the tables
-- were small must not be kept when they are large.
create function append(
  m_tenant uuid[], m_run uuid[], m_worker uuid[], m_epoch bigint[], m_seq bigint[], m_head bytea[],
  m_new_seq bigint[], m_new_head bytea[], m_folded bigint[], m_flags int[], m_increments bigint[],
  e_member int[], e_seq bigint[], e_type text[], e_at timestamptz[], e_body text[], e_hash bytea[],
  b_member int[], b_digest bytea[], b_body bytea[],
  rare text,
  c_texts text[] default '{}', c_numbers bigint[] default '{}'
) returns table (idx int, outcome text, inbox_seq bigint, cancelling boolean, why text)
language plpgsql volatile security definer set search_path = holdfast, pg_temp
  set plan_cache_mode = force_generic_plan set jit = off
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
  members int := cardinality(m_run);
  more jsonb := rare::jsonb;
  next_state text[];
  next_wait text[];
  next_wake timestamptz[];
  next_unsure boolean[];
  answered int[];
  verdict text[];
  inboxes bigint[];
  cancels boolean[];
  reasons jsonb := '{}';
  blocked int;
  turn record;
  spent record;
begin
  perform must_be_durable();
  perform pg_advisory_xact_lock_shared(4857);  -- the halt lock

  if more ? 'next' then
    for turn in select * from jsonb_to_recordset(more -> 'next') as x (m int, state text, waiting_on text, wake_at timestamptz,
                                                                                 unsure boolean) loop
      next_state[turn.m] := turn.state;
      next_wait[turn.m] := turn.waiting_on;
      next_wake[turn.m] := turn.wake_at;
      next_unsure[turn.m] := turn.unsure;  -- it parks for a halt that its worker heard of, and that may be lifted by now
    end loop;
  end if;

  -- Lock in key order, never waiting; judge by the row as locked.
  with held as materialized (
    select m as nth, r.inbox_seq, r.cancelling,
      case
        when r.state <> 'running' or r.worker <> m_worker[m] or r.epoch <> m_epoch[m] or r.seq <> m_seq[m]
          or r.head <> m_head[m] then 'fenced'
        else coalesce(
          case when m_flags[m] & 1 = 1 and exists (select from halts h where h.lifted_at is null) then
            held_back(r.tenant, r.id, r.task, r.session, r.principal, more -> 'names' -> m::text) end,
          case
            when m_flags[m] & 1 = 1 and r.cancelling then 'cancelled'
            when m_flags[m] & 1 = 1 and r.stale then 'stale'
            when m_flags[m] & 8 = 8 and exists (select from budgets b where b.tenant = r.tenant and b.ended_at is null)
              then 'unbounded'
            when next_state[m] is not null and r.inbox_seq <> m_folded[m] then 'signalled'
            when coalesce(next_unsure[m], false) and not is_halted(r.tenant, r.id, r.task, r.session, r.principal, more -> 'names' -> m::text)
              then 'signalled'
            else 'appended'
          end)
      end as said
    from generate_series(1, members) as m
    join runs r on r.tenant = m_tenant[m] and r.id = m_run[m]
    order by r.tenant, r.id
    for no key update of r skip locked
  )
  select array_agg(h.nth), array_agg(h.said), array_agg(h.inbox_seq), array_agg(h.cancelling)
  into answered, verdict, inboxes, cancels
  from (select * from held order by held.nth) h;

  -- A row that another holds at this moment, or that does not exist.
  if cardinality(answered) is distinct from members then
    select array_agg(coalesce(verdict[a.at], case when r.matches then 'busy' else 'fenced' end) order by m),
      array_agg(coalesce(inboxes[a.at], r.inbox_seq) order by m),
      array_agg(coalesce(cancels[a.at], r.cancelling) order by m)
    into verdict, inboxes, cancels
    from generate_series(1, members) as m
    cross join lateral (select array_position(answered, m) as at) a
    left join lateral (
      select r.inbox_seq, r.cancelling, r.state = 'running' and r.worker = m_worker[m] and r.epoch = m_epoch[m]
        and r.seq = m_seq[m] and r.head = m_head[m] as matches
      from runs r where r.tenant = m_tenant[m] and r.id = m_run[m]
    ) r on true;
  end if;

  if more ?| array['next', 'approvals', 'tallies'] then
    foreach blocked in array append_obstructed(m_tenant, m_run, verdict, more) loop
      verdict[blocked] := 'busy';
    end loop;
    if more ? 'tallies' then
      foreach blocked in array coalesce(tallies_moved(m_tenant, verdict, more -> 'tallies'), '{}') loop
        verdict[blocked] := 'moved';
      end loop;
    end if;
  end if;
  if more ? 'budgets' then
    spent := spend_budgets(m_tenant, m_run, verdict, more -> 'budgets', more ? 'patient', holdfast.now());
    verdict := spent.verdicts;
    reasons := spent.details;
  end if;

  if 'appended' = any (verdict) then
    with noted as (
      insert into events (tenant, run, seq, type, at, body, hash)
      select m_tenant[e_member[e.nth]], m_run[e_member[e.nth]], e_seq[e.nth], e.type, e_at[e.nth], e.body, e.hash
      from unnest(e_type, e_body, e_hash) with ordinality as e (type, body, hash, nth)
      where verdict[e_member[e.nth]] = 'appended'
    ), kept as (
      insert into blobs (tenant, run, digest, body)
      select m_tenant[b_member[b.nth]], m_run[b_member[b.nth]], b.digest, b.body
      from unnest(b_digest, b_body) with ordinality as b (digest, body, nth)
      where verdict[b_member[b.nth]] = 'appended'
      on conflict do nothing
    )
    update runs r set
      seq = m_new_seq[m], head = m_new_head[m], folded_seq = m_folded[m],
      updated_at = (select clock_timestamp() + skew from clock),
      state = coalesce(next_state[m], r.state),
      worker = case when next_state[m] is null then r.worker end,
      waiting_on = next_wait[m],
      wake_at = next_wake[m],
      finished_at = case when next_state[m] in ('succeeded', 'failed', 'cancelled')
        then (select clock_timestamp() + skew from clock) end,
      claims = case when m_flags[m] & 2 = 2 or next_state[m] is not null then 0 else r.claims end,
      rewound = r.rewound and m_flags[m] & 4 = 0,
      steps = r.steps + m_increments[m * 5 - 4],
      model_requests = r.model_requests + m_increments[m * 5 - 3],
      tool_calls = r.tool_calls + m_increments[m * 5 - 2],
      input_tokens = r.input_tokens + m_increments[m * 5 - 1],
      output_tokens = r.output_tokens + m_increments[m * 5]
    from generate_series(1, members) as m
    where verdict[m] = 'appended' and r.tenant = m_tenant[m] and r.id = m_run[m];

    if cardinality(c_texts) > 0 then
      perform write_costs(m_tenant, m_run, verdict, c_texts, c_numbers);
    end if;
    if more ?| array['next', 'approvals', 'tallies'] then
      perform append_rare(m_tenant, m_run, verdict, more, holdfast.now());
    end if;
  end if;

  return query select v.nth::int, v.verdict, v.inbox_seq, v.cancelling, reasons ->> v.nth::text
    from unnest(verdict, inboxes, cancels) with ordinality as v (verdict, inbox_seq, cancelling, nth);
end $$;

grant execute on function append(uuid[], uuid[], uuid[], bigint[], bigint[], bytea[], bigint[], bytea[], bigint[], int[],
  bigint[], int[], bigint[], text[], timestamptz[], text[], bytea[], int[], bytea[], bytea[], text, text[], bigint[])
  to holdfast_worker;
set local role holdfast_owner;
