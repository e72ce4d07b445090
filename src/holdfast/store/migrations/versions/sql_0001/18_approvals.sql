-- Approvals: who may say what of a human task, and when it is settled.
--
-- A task asks somebody (`ask`). '' is whoever may decide. 'user' is a confirmation: the person behind the run. All else is an
-- authorisation: so many distinct persons who hold a role, none of whom is behind the call. Whoever agrees leaves a vote,
-- bound to the digest of what they were shown. A vote counts while its voter could cast it: it is judged anew each time the
-- task is, so that one whose role was taken counts no more. Edited arguments make another digest, and votes of the one
-- before count no more either. A question is answered by one of those whom it asks: nobody authorises anything by that.
--
-- Everything about one task happens under its run's lock and then its own. What rests on identities first takes its tenant's
-- row for key share: `begin_change` (14_identity.sql) takes it for update, so no role changes while one is counted on.
-- A task leaves 'pending' once, by `settle_approval`, with the signal that tells its run. 18_decisions.sql is how people get
-- there.

-- Which roles let somebody authorise this; none for a confirmation.
create function ask_roles(p_ask text) returns text[]
language sql immutable set search_path = holdfast, pg_temp
as $$
  select case when p_ask like '%approver%' then array['approver', 'admin']
              when p_ask like '%admin%' then array['admin'] else '{}' end
$$;

-- How many have to agree.
create function ask_count(p_ask text) returns int
language sql immutable set search_path = holdfast, pg_temp
as $$ select coalesce(array_position(array['one', 'two', 'three', 'four', 'five'], split_part(p_ask, ' ', 1)), 1) $$;

-- The same of one task: an answer is one person's, whoever is asked for it.
create function needed_by(task approvals) returns int
language sql immutable set search_path = holdfast, pg_temp
as $$ select case when task.kind = 'question' then 1 else ask_count(task.ask) end $$;

-- Whether it lets something be done, so that those who want it done have no say. A run in trouble and a question are no call
-- that somebody wants made: whoever is asked may say.
create function authorises(task approvals) returns boolean
language sql immutable set search_path = holdfast, pg_temp
as $$ select task.kind in ('approval', 'in_doubt') $$;

-- What may be said of a kind of task.
create function verdicts_on(p_kind text) returns text[]
language sql immutable set search_path = holdfast, pg_temp
as $$
  select case p_kind when 'approval' then array['approved', 'rejected']
                     when 'question' then array['answered', 'declined']
                     when 'escalation' then array['go_on', 'finish', 'fail_run']
                     else array['done', 'not_done', 'fail_run'] end
$$;

-- What a decision is bound to once arguments are edited: what it was bound to before, the new arguments by their keyed
-- digest, and who edited them. Whoever knows the first digest and the edits can work out the last.
create function edited_digest(p_digest text, p_args bytea, p_by text) returns text
language sql immutable set search_path = holdfast, pg_temp
as $$
  select encode(sha256(convert_to(
    concat_ws(chr(10), 'holdfast.approval.edit.1', p_digest, encode(p_args, 'hex'), p_by), 'UTF8')), 'hex')
$$;

-- The principal that an actor is; none where it is no principal's id.
create function principal_of(p_tenant uuid, p_actor text) returns setof principals
language sql stable set search_path = holdfast, pg_temp
as $$
  select * from principals p where p.tenant = p_tenant
    and p.id = case when p_actor ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then p_actor::uuid end
$$;

-- The person behind the run: its principal, or, where that is a service, who asked for the run on its behalf.
create function person_behind(task approvals) returns text
language sql stable set search_path = holdfast, pg_temp
as $$
  select p.id::text from runs r, unnest(array[r.principal, r.requested_by]) with ordinality as b (actor, nth),
    principal_of(r.tenant, b.actor) p
  where r.tenant = task.tenant and r.id = task.run and p.kind = 'person' order by b.nth limit 1
$$;

-- Whether this actor began the run on the installation's own machine: who works there is nobody of the tenant.
create function is_begun_here(task approvals, p_actor text) returns boolean
language sql stable set search_path = holdfast, pg_temp
as $$
  select exists (select from runs r where r.tenant = task.tenant and r.id = task.run and r.principal = p_actor)
    and not exists (select from principal_of(task.tenant, p_actor))
$$;

-- Whether somebody owes what they are to those behind the call: one of these, or one who owes it to these, admitted them,
-- or gave them a role that authorises, so short a time ago that they count as a newcomer.
create function is_beholden(task approvals, p_actor text, p_newcomer interval) returns boolean
language sql stable set search_path = holdfast, pg_temp
as $$
  with recursive bound (actor) as (
    select b.actor from unnest(task.requesters) as b (actor)
    union
    select x.actor from bound b, lateral (
      select p.id::text from principals p
      where p.tenant = task.tenant and p.created_by = b.actor and p.created_at > holdfast.now() - p_newcomer
      union all
      select m.principal::text from memberships m
      where m.tenant = task.tenant and m.granted_by = b.actor and m.granted_at > holdfast.now() - p_newcomer
        and m.role in ('approver', 'admin')
    ) as x (actor)
  )
  select exists (select from bound b where b.actor = p_actor)
$$;

-- Why this actor may not decide what is asked, as things stand now; null where they may.
--   no_person   it is a service, or nobody of the tenant
--   disabled    they are
--   not_behind  only the person behind the run can confirm, and that is another
--   requester   they are behind the call: its run is theirs, they asked for it, or they edited it
--   role        they do not hold a role that authorises this
--   beholden    those behind the call made them what they are, recently
create function refusal(task approvals, p_actor text, p_newcomer interval) returns text
language plpgsql stable set search_path = holdfast, pg_temp
as $$
declare
  person principals;
  roles text[] := ask_roles(task.ask);
  behind text;
begin
  select * into person from principal_of(task.tenant, p_actor);
  if task.ask = '' then
    return case when person.disabled_at is not null then 'disabled' end;
  end if;
  if task.ask = 'user' and is_begun_here(task, p_actor) then
    return null;
  end if;
  if person.id is null or person.kind <> 'person' then
    return 'no_person';
  end if;
  if person.disabled_at is not null then
    return 'disabled';
  end if;
  if task.ask = 'user' then
    behind := person_behind(task);
    if behind is not null then
      return case when behind <> p_actor then 'not_behind' end;
    end if;
    roles := ask_roles('approver');  -- a service's own run: somebody has to answer for it
  end if;
  if p_actor = any (task.requesters) and authorises(task) then
    return 'requester';
  end if;
  if not exists (select from memberships m where m.tenant = task.tenant and m.principal = person.id and m.role = any (roles)) then
    return 'role';
  end if;
  if authorises(task) and is_beholden(task, p_actor, p_newcomer) then
    return 'beholden';
  end if;
  return null;
end $$;

-- Whether a decision by a link that another made would let one hand do what takes two: the maker is behind a call that others
-- authorise, or owes what they are to those who are, or has a part in another vote.
create function is_one_hand(task approvals, p_by text, p_via text, p_newcomer interval) returns boolean
language sql stable set search_path = holdfast, pg_temp
as $$
  select task.ask <> '' and (
    (p_via is not null and p_via <> p_by and (
      authorises(task) and (p_via = any (task.requesters) or is_beholden(task, p_via, p_newcomer))
      or exists (select from approval_votes v where v.tenant = task.tenant and v.approval = task.id and v.digest = task.digest
                 and v.voter <> p_by and p_via in (v.voter, v.via))))
    or exists (select from approval_votes v where v.tenant = task.tenant and v.approval = task.id and v.digest = task.digest
               and v.voter <> p_by and v.via = p_by))
$$;

-- Whose votes for this count now, in the order in which they were cast.
create function agreeing(task approvals, p_verdict text, p_content bytea, p_newcomer interval) returns text[]
language sql stable set search_path = holdfast, pg_temp
as $$
  select coalesce(array_agg(v.voter order by v.at, v.voter), '{}') from approval_votes v
  where v.tenant = task.tenant and v.approval = task.id and v.digest = task.digest and v.verdict = p_verdict
    and v.content is not distinct from p_content and refusal(task, v.voter, p_newcomer) is null
$$;

-- When time alone changes a task next.
create function due_next(task approvals) returns timestamptz
language sql immutable set search_path = holdfast, pg_temp
as $$ select least(task.escalate_at[task.escalated + 1], task.expires_at) $$;

-- Notes in a task's history what has happened. The caller holds the task.
create function tell(task approvals, p_what text, p_by text, p_content bytea) returns void
language sql volatile set search_path = holdfast, pg_temp
as $$
  insert into approval_history (tenant, approval, nth, at, what, by, digest, ask, content)
  select task.tenant, task.id, count(*) + 1, holdfast.now(), p_what, p_by, task.digest, task.ask, p_content
  from approval_history h where h.tenant = task.tenant and h.approval = task.id
$$;

-- Whether the person behind the run said it themselves, and not by a link of another's.
create function is_own_word(task approvals, p_by text) returns boolean
language sql stable set search_path = holdfast, pg_temp
as $$
  select (is_begun_here(task, p_by) or coalesce(p_by = person_behind(task), false)) and not exists (
    select from approval_votes v where v.tenant = task.tenant and v.approval = task.id and v.voter = p_by and v.via is not null)
$$;

-- Settles a task, and tells its run. The caller holds run and task, and has found it pending. Answers the place in the run's
-- inbox; null for a run that has ended.
create function settle_approval(
  task approvals, p_verdict text, p_by text, p_voters text[], p_content bytea, p_content_digest bytea
) returns bigint
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
declare
  edits json := (select json_agg(json_build_object('args', encode(h.content, 'hex'), 'by', h.by) order by h.nth)
                 from approval_history h where h.tenant = task.tenant and h.approval = task.id and h.what = 'edited');
  told bigint;
begin
  update approvals a set state = p_verdict, decided_at = holdfast.now(), decided_by = p_by, voters = p_voters, due_at = null
  where a.tenant = task.tenant and a.id = task.id;
  perform tell(task, p_verdict, p_by, p_content_digest);
  select d.seq into told from deliver_signal(task.tenant, task.run, 'decision', json_build_object(
      'approval', task.id, 'kind', task.kind, 'verdict', p_verdict, 'digest', task.digest, 'ask', task.ask,
      'voters', p_voters, 'edits', coalesce(edits, '[]'), 'own_word', is_own_word(task, p_by),
      'on_expiry', case when p_verdict = 'expired' then task.on_expiry end)::text,
    p_content, p_content_digest, p_by, null) d;
  return told;
end $$;

-- An approval, with the arguments as last edited.
create function settle_approved(task approvals, p_by text, p_voters text[]) returns bigint
language sql volatile set search_path = holdfast, pg_temp
as $$
  select settle_approval(task, 'approved', p_by, p_voters,
    (select b.body from blobs b where b.tenant = task.tenant and b.run = task.run and b.digest = task.edited), task.edited)
$$;

-- Does what a task's time has brought by `moment`: in the order of their times, whom it asks next, and its end. The caller
-- holds run and task. Where those who are asked now are fewer than before, the votes there are may be enough.
create function pass_time(p_task approvals, moment timestamptz, out expired int, out escalated int)
language plpgsql volatile set search_path = holdfast, pg_temp
as $$
declare
  task approvals := p_task;
  voters text[];
  cast_one record;
begin
  expired := 0;
  escalated := 0;
  if task.state <> 'pending' or task.due_at is null or task.due_at > moment then
    return;
  end if;
  while task.escalate_at[task.escalated + 1] <= moment
    and (task.expires_at is null or task.escalate_at[task.escalated + 1] < task.expires_at)
  loop
    task.escalated := task.escalated + 1;
    task.ask := task.escalate_ask[task.escalated];
    escalated := escalated + 1;
    perform tell(task, 'escalated', 'clock', null);
    for cast_one in select distinct v.verdict, v.content from approval_votes v
      where v.tenant = task.tenant and v.approval = task.id and v.digest = task.digest
    loop
      voters := agreeing(task, cast_one.verdict, cast_one.content, task.newcomer);
      if cardinality(voters) >= needed_by(task) then
        update approvals a set ask = task.ask, escalated = task.escalated where a.tenant = task.tenant and a.id = task.id;
        perform case when task.kind = 'approval' then settle_approved(task, voters[cardinality(voters)], voters)
          else settle_approval(task, cast_one.verdict, voters[cardinality(voters)], voters,
            (select b.body from blobs b where b.tenant = task.tenant and b.run = task.run and b.digest = cast_one.content),
            cast_one.content) end;
        return;
      end if;
    end loop;
  end loop;
  update approvals a set ask = task.ask, escalated = task.escalated, due_at = due_next(task)
  where a.tenant = task.tenant and a.id = task.id;
  if task.expires_at <= moment then
    expired := 1;
    perform settle_approval(task, case when task.kind in ('approval', 'question') then 'expired' else 'fail_run' end, 'expiry',
      '{}', null, null);
  end if;
end $$;

-- For the tick: does what a task's time has brought, unless anybody holds what it takes.
create function let_time_pass(p_tenant uuid, p_approval uuid, out expired int, out escalated int)
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
declare
  task approvals;
begin
  perform must_be_durable();
  perform must_be_tenant(p_tenant);
  expired := 0;
  escalated := 0;
  perform from tenants t where t.id = p_tenant for key share skip locked;
  if not found then
    return;
  end if;
  perform from approvals a join runs r on r.tenant = a.tenant and r.id = a.run
  where a.tenant = p_tenant and a.id = p_approval for no key update of r skip locked;
  if not found then
    return;
  end if;
  select * into task from approvals a where a.tenant = p_tenant and a.id = p_approval for no key update skip locked;
  if found then
    select t.expired, t.escalated into expired, escalated from pass_time(task, holdfast.now()) t;
  end if;
end $$;

-- How a task stands for one who looks at it: who has agreed so far, or agreed where it is settled; how many have to; whether
-- the one who looks has; why they may not decide it, null where they may.
create function approval_standing(p_tenant uuid, p_approval uuid, p_by text, p_newcomer_s double precision)
returns table (agreed text[], needed int, voted boolean, refused text)
language plpgsql stable security definer set search_path = holdfast, pg_temp
as $$
declare
  task approvals;
  newcomer interval := make_interval(secs => p_newcomer_s);
begin
  perform must_be_tenant(p_tenant);
  select * into task from approvals a where a.tenant = p_tenant and a.id = p_approval;
  if not found then
    return;
  end if;
  return query select
    case when task.state <> 'pending' then task.voters else coalesce((
      select agreeing(task, c.verdict, c.content, newcomer) as found from (
        select distinct v.verdict, v.content from approval_votes v
        where v.tenant = p_tenant and v.approval = p_approval and v.digest = task.digest) c
      order by cardinality(agreeing(task, c.verdict, c.content, newcomer)) desc limit 1), '{}') end,
    needed_by(task),
    exists (select from approval_votes v where v.tenant = p_tenant and v.approval = p_approval and v.digest = task.digest
            and v.voter = p_by),
    refusal(task, p_by, newcomer);
end $$;

grant execute on function let_time_pass(uuid, uuid) to holdfast_engine;
grant execute on function approval_standing(uuid, uuid, text, double precision) to holdfast_worker, holdfast_api;

-- The human tasks that an append opens. An effect in doubt asks for the authority that its approval needed, where the append
-- does not say; and since nobody's silence tells whether it took place, it ends by itself only if that fails the run.
set local role holdfast_engine;
create function open_approvals(m_tenant uuid[], m_run uuid[], verdict text[], tasks jsonb, moment timestamptz) returns void
language sql volatile set search_path = holdfast, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
  insert into approvals (tenant, id, run, kind, scope, step, call, tool, key, args, digest, why, asked_at, received, ask, round,
    requesters, expires_at, on_expiry, escalate_at, escalate_ask, due_at)
  select m_tenant[x.m], x.id, m_run[x.m], x.kind, x.scope, x.step, x.call, x.tool, x.key, decode(x.args, 'hex'), x.digest,
    x.why, moment, decode(x.received, 'hex'), coalesce(nullif(x.ask, ''), before.ask, ''), coalesce(x.round, 1),
    array_remove(array[r.principal, nullif(r.requested_by, r.principal)], null),
    ends.at, coalesce(x.on_expiry, 'reject'), chain.at, chain.ask, least(chain.at[1], ends.at)
  from jsonb_to_recordset(tasks) as x (m int, id uuid, kind text, scope text, step bigint, call text, tool text, key text,
      args text, digest text, why text, closed text, received text, ask text, round int, expires_s double precision,
      on_expiry text, escalate jsonb)
    join runs r on r.tenant = m_tenant[x.m] and r.id = m_run[x.m]
    cross join lateral (
      select case when x.kind in ('approval', 'question') or x.on_expiry = 'fail_run' then moment + make_interval(secs => x.expires_s) end as at
    ) ends
    cross join lateral (
      select coalesce(array_agg(e.at order by e.at, e.nth), '{}') as at, coalesce(array_agg(e.ask order by e.at, e.nth), '{}') as ask
      from (select moment + make_interval(secs => (v.one ->> 0)::double precision) as at, v.one ->> 1 as ask, v.nth
            from jsonb_array_elements(x.escalate) with ordinality as v (one, nth)) e
    ) chain
    left join lateral (
      select a.ask from approvals a where x.kind = 'in_doubt' and a.tenant = m_tenant[x.m] and a.run = m_run[x.m]
        and a.kind = 'approval' and a.state = 'approved' and a.scope = x.scope and a.step = x.step and a.call = x.call
      order by a.asked_at desc limit 1
    ) before on true
  where verdict[x.m] = 'appended' and x.closed is null
$$;
set local role holdfast_owner;
