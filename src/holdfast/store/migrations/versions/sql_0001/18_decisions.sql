-- Decisions: what people say of a human task, judged and written under the locks of 18_approvals.sql.

-- Decides, or adds a vote. The digest is the one shown to the person who decides: if the task is bound to another, nothing
-- happens. A run that has ended is not told; the decision is recorded all the same. While a worker's late report of this very
-- effect waits in the run's inbox nobody decides: what a person says then might have no effect. Whoever holds the run reads
-- the report, and closes the task or leaves it to people.
--
-- Outcomes. Something happened: 'decided'; 'voted', more have to agree; 'edited', the arguments are others and everybody is
-- asked anew. Nothing did: 'already' (state and decided_by are the first's), 'again' (this person has agreed already),
-- 'mismatch', 'reported', 'cancelling' (the run is to stop), 'refused' (why: as `refusal` says, or 'one_hand'), 'invalid' (no
-- verdict on this kind of task), 'absent'.
create function decide_approval(
  p_tenant uuid, p_approval uuid, p_verdict text, p_digest text, p_by text, p_content bytea, p_content_digest bytea,
  p_newcomer_s double precision, p_via text
) returns table (outcome text, state text, decided_by text, run uuid, seq bigint, why text, agreed int, needed int)
language plpgsql volatile security definer set search_path = holdfast, pg_temp
as $$
#variable_conflict use_column
declare
  task approvals;
  newcomer interval := make_interval(secs => p_newcomer_s);
  edits boolean := p_verdict = 'approved' and p_content is not null;
  said text;  -- the outcome so far
  reason text;
  voters text[] := '{}';
  again boolean := false;
  told bigint;
begin
  perform must_be_durable();
  perform must_be_tenant(p_tenant);
  select * into task from approvals a where a.tenant = p_tenant and a.id = p_approval;
  if not found then
    return query select 'absent', null::text, null::text, null::uuid, null::bigint, null::text, 0, 0;
    return;
  end if;

  -- Who is what, then the run, as everywhere; then the task, read again under its lock.
  perform from tenants t where t.id = p_tenant for key share;
  perform from runs r where r.tenant = p_tenant and r.id = task.run for no key update;
  select * into task from approvals a where a.tenant = p_tenant and a.id = p_approval for no key update;
  perform from pass_time(task, holdfast.now());
  select * into task from approvals a where a.tenant = p_tenant and a.id = p_approval;
  reason := refusal(task, p_by, newcomer);
  said := case
    when not p_verdict = any (verdicts_on(task.kind)) then 'invalid'
    when task.state <> 'pending' then 'already'
    when task.digest <> p_digest then 'mismatch'
    when exists (
      select from runs r join signals s on s.tenant = r.tenant and s.run = r.id and s.seq > r.folded_seq
      where r.tenant = p_tenant and r.id = task.run and s.kind = 'late_outcome'
        and s.dedupe ^@ ('late:' || task.key || ':')) then 'reported'
    when task.kind <> 'in_doubt' and exists (
      select from runs r where r.tenant = p_tenant and r.id = task.run and r.cancelling) then 'cancelling'
    -- Who is behind a call may not authorise it, and may say better what it should be: everybody is asked anew.
    when reason is not null and not (edits and reason = 'requester') then 'refused'
    when is_one_hand(task, p_by, p_via, newcomer) then 'refused'
  end;
  if said is not null then
    return query select said, task.state, task.decided_by, task.run, null::bigint,
      case when said = 'refused' then coalesce(reason, 'one_hand') end, 0, needed_by(task);
    return;
  end if;

  if p_content is not null then  -- for those who are asked next, and for the record
    insert into blobs (tenant, run, digest, body) values (p_tenant, task.run, p_content_digest, p_content)
    on conflict do nothing;
  end if;
  if edits and p_content_digest <> coalesce(task.edited, task.args) then
    task.digest := edited_digest(task.digest, p_content_digest, p_by);
    task.edited := p_content_digest;
    task.requesters := array_append(array_remove(task.requesters, p_by), p_by);
    update approvals a set digest = task.digest, edited = task.edited, requesters = task.requesters
    where a.tenant = p_tenant and a.id = p_approval;
    perform tell(task, 'edited', p_by, p_content_digest);
    said := 'edited';
  end if;
  -- An editor agrees to what they made of it where one person's word is enough; else they are behind the call from now on.
  if said = 'edited' and ask_roles(task.ask) <> '{}' or reason is not null then
    return query select coalesce(said, 'refused'), task.state, task.decided_by, task.run, null::bigint,
      case when said is null then reason end, 0, needed_by(task);
    return;
  end if;

  if p_verdict = 'rejected' then
    told := settle_approval(task, p_verdict, p_by, array[p_by], p_content, p_content_digest);
    return query select 'decided', p_verdict, p_by, task.run, told, null::text, 1, needed_by(task);
    return;
  end if;
  again := exists (select from approval_votes v where v.tenant = p_tenant and v.approval = p_approval
    and v.digest = task.digest and v.voter = p_by and v.verdict = p_verdict
    and (edits or v.content is not distinct from p_content_digest));
  if not again then
    insert into approval_votes as v (tenant, approval, digest, voter, verdict, content, via, at)
    values (p_tenant, p_approval, task.digest, p_by, p_verdict, case when not edits then p_content_digest end,
            nullif(p_via, p_by), holdfast.now())
    on conflict (tenant, approval, digest, voter)
      do update set verdict = excluded.verdict, content = excluded.content, via = excluded.via, at = excluded.at;
    update approvals a set newcomer = make_interval(secs => p_newcomer_s) where a.tenant = p_tenant and a.id = p_approval;
  end if;
  -- The person behind a call that they edited is one of its requesters, and is asked all the same.
  voters := agreeing(task, p_verdict, case when not edits then p_content_digest end, newcomer);
  if said = 'edited' and not p_by = any (voters) then
    voters := voters || p_by;  -- who stood in for the person behind a service's run
  end if;
  if cardinality(voters) < needed_by(task) then
    if not again then
      perform tell(task, 'voted', p_by, p_content_digest);
    end if;
    return query select case when again then 'again' else 'voted' end, task.state, task.decided_by, task.run, null::bigint,
      null::text, cardinality(voters), needed_by(task);
    return;
  end if;
  told := case when p_verdict = 'approved' then settle_approved(task, p_by, voters)
               else settle_approval(task, p_verdict, p_by, voters, p_content, p_content_digest) end;
  return query select 'decided', p_verdict, p_by, task.run, told, null::text, cardinality(voters), needed_by(task);
end $$;

grant execute on function
  decide_approval(uuid, uuid, text, text, text, bytea, bytea, double precision, text) to holdfast_worker, holdfast_api;
