-- Holdfast's schema.
--
-- The main path. `accept_run` inserts a row in `runs` (state 'queued') with the first row of its journal in
-- `events` and the content that it names in `blobs`. `claim_runs` gives it to a worker: state 'running', the
-- worker's id, and an epoch one higher. The worker replays the journal and then calls `append` for each step:
-- one call adds events to many runs at once, each fenced by worker, epoch, sequence and head hash. A member of
-- the batch may park its run (a row and nothing else) or end it. `deliver_signal` puts a message, a decision or a
-- cancellation into `signals` and wakes the run; the worker that holds the run folds it in as events. `tick`, which
-- any worker may call, takes runs back from the dead, wakes timers and parks what no worker's code can run.
--
-- Tables of a tenant: the column `tenant` is first in every key, and row level security shows only the rows of the
-- tenant that is set in `holdfast.tenant`.
--   runs              one row per run: where it stands, who holds it, the end of its journal
--   events            the journals; a body is the exact text that was hashed, and holds no personal content
--   blobs             content, sealed under its subject's key, named by run and keyed digest
--   signals           the inbox of each run, in order
--   approvals         every human task: approvals, questions, effects in doubt, runs in trouble
--   approval_votes    who has agreed to one, and to exactly what
--   approval_history  what has happened to one: votes, edits, escalations, its end
--   idempotency_keys  requests that were accepted, so that a repeated one answers the same
--   sessions          conversations, and the run that holds a conversation's history
--   invalidations     messages of a conversation that no later run is given
--   subject_keys      the wrapped key of each subject; wrapped is null once destroyed
--   halts             stops: in force while `lifted_at` is null; kept afterwards
--   halt_acks         what each worker said of a stop: since when it knows, what it still had under way
--   tallies           amounts that add up over calls; tally_entries: what each effect added (20_tallies.sql)
--   budgets           what may be spent; budget_windows: what is; reservations, overruns, budget_alerts (23_budgets.sql)
--   ledger            what runs cost (22_costs.sql)
--   live              token deltas on their way to readers; unlogged, empty after a crash
--   tenants           the tenants
--   principals        the people and services of a tenant
--   memberships       their roles, one row each, with who granted them and when
--   identities        who a principal is for an issuer of tokens
--   api_keys          keys: the SHA-256 of each, never the key
--   audit_log         what was done to any of these, and by whom
-- Infrastructure, holding no tenant's data, reached through functions only:
--   workers           one lease each
--   clock             how far tests have moved the clock of leases and timers
--   timeline          which history of the database this is: it changes when a standby is promoted
--   schema_version    the migration in force (Alembic's table)
--
-- Lock order, for everything: the halt lock (advisory), the lock of tenants' limits (advisory), a row of `workers`, rows of `runs` in key order, then
-- rows that belong to a run (approvals, what belongs to those, signals), then `tallies`, then `budget_windows`, then
-- `sessions`. `append`, `claim_runs` and `tick` never wait for a row: they skip what is locked. What people do to budgets
-- is one at a time in each tenant (advisory), and may lock a budget and its windows before rows of `runs`. What changes
-- identities locks its tenant's row, and so does, in the weakest way, what rests on them (`decide_approval`), before rows
-- of `runs`; `renew_rights` locks a principal before its run.
-- `delete_session` alone locks its session before runs of it: who holds a run and waits for a session is `accept_run`,
-- whose run nobody else can see yet.

create table tenants (
  id uuid primary key,
  name text not null unique check (name ~ '^[a-z][a-z0-9-]{0,62}$'),
  state text not null default 'active' check (state in ('active', 'suspended', 'deleting', 'importing')),
  created_at timestamptz not null default clock_timestamp(),
  max_principals int check (max_principals >= 0),  -- null: no limit
  max_runs int check (max_runs >= 0),  -- that have not ended
  max_bytes bigint check (max_bytes >= 0),  -- of content, events and messages
  bytes bigint not null default 0,  -- as last measured, where there is a limit
  measured_at timestamptz,
  evidence jsonb,  -- of its deletion, once that has begun: what it had, and what is gone so far
  ceilings jsonb not null default '{}' check (jsonb_typeof(ceilings) = 'object')  -- of each of its runs (26_ceilings.sql)
);

create table principals (
  tenant uuid not null,
  id uuid not null,
  kind text not null check (kind in ('person', 'service')),
  name text not null,
  email text,
  created_at timestamptz not null,
  created_by text not null,
  disabled_at timestamptz,
  claims_at timestamptz,  -- when the newest token that said who this is was issued; null where none ever did
  primary key (tenant, id),
  unique (tenant, name)
);

create table memberships (
  tenant uuid not null,
  principal uuid not null,
  role text not null check (role in ('user', 'service', 'approver', 'operator', 'auditor', 'admin', 'platform')
    and (role <> 'platform' or tenant = '00000000-0000-7000-8000-000000000000')),
  granted_at timestamptz not null,
  granted_by text not null,
  primary key (tenant, principal, role)
);

create table identities (
  tenant uuid not null,
  issuer text not null,
  subject text not null,
  principal uuid not null,
  created_at timestamptz not null,
  issued_at timestamptz not null,  -- of the newest token that said what this principal is
  primary key (tenant, issuer, subject)
);

create index identities_of on identities (tenant, principal);

create table api_keys (
  tenant uuid not null,
  id uuid not null,
  principal uuid not null,
  name text not null,
  digest bytea not null,
  scopes text[],  -- null: whatever the principal may
  created_at timestamptz not null,
  created_by text not null,
  expires_at timestamptz,
  revoked_at timestamptz,
  used_at timestamptz,  -- to the minute
  primary key (tenant, id),
  unique (tenant, digest)
);

create index api_keys_of on api_keys (tenant, principal);

create table audit_log (
  tenant uuid not null,
  at timestamptz not null,
  id uuid not null,
  actor text not null,
  action text not null,
  target text not null,
  details text not null,
  primary key (tenant, at, id)
);

-- Columns that `append` changes are in no index, and pages are left with room: its updates stay in place (HOT).
create table runs (
  tenant uuid not null,
  id uuid not null,
  task text not null,
  task_version text not null,
  state text not null default 'queued'
    check (state in ('queued', 'running', 'parked', 'succeeded', 'failed', 'cancelled')),
  waiting_on text,
  wake_at timestamptz,
  session uuid,
  principal text not null,
  subject text not null,
  requested_by text,  -- who asked for it on behalf of its principal, if another
  parent uuid,
  priority smallint not null default 0,
  worker uuid,
  epoch bigint not null default 0,
  seq bigint not null,
  head bytea not null,
  inbox_seq bigint not null default 0,
  folded_seq bigint not null default 0,
  cancelling boolean not null default false,
  claims smallint not null default 0,
  rewound boolean not null default false,
  unserved boolean not null default false,  -- parked by `tick` because no live worker has its version
  stale boolean not null default false,  -- what holds it back, or its principal's rights, changed since its holder looked
  steps bigint not null default 0,
  model_requests bigint not null default 0,
  tool_calls bigint not null default 0,
  input_tokens bigint not null default 0,
  output_tokens bigint not null default 0,
  created_at timestamptz not null,
  queued_at timestamptz not null,
  started_at timestamptz,
  finished_at timestamptz,
  updated_at timestamptz not null,
  primary key (tenant, id),
  check ((state = 'running') = (worker is not null)),
  check ((state = 'parked') = (waiting_on is not null))
) with (fillfactor = 70);

-- Partial, though they hold every run: no other query may go by it. On a new installation's empty statistics a look-up by
-- (tenant, id) did, skipping through all runs, and the plan of `append` was kept when there were many.
create index runs_listed on runs (tenant, created_at desc, id desc) where created_at > '-infinity';
create index runs_of_principal on runs (tenant, principal, created_at desc, id desc) where created_at > '-infinity';
create index runs_requested_by on runs (tenant, requested_by, created_at desc, id desc) where requested_by is not null;
create index runs_live_of_principal on runs (tenant, principal) where state in ('queued', 'running', 'parked');
create index runs_of_session on runs (tenant, session, created_at desc, id desc) where session is not null;
create index runs_queued on runs (task, task_version, tenant, priority desc, queued_at, id) where state = 'queued';
create index runs_held on runs (worker, tenant, id) where state = 'running';
create index runs_running on runs (tenant) where state = 'running';
create index runs_waking on runs (wake_at) where state = 'parked' and wake_at is not null;
create index runs_freed on runs (tenant, id)
  where state = 'parked' and stale and waiting_on in ('halt', 'rights', 'login', 'budget');
create index runs_short on runs (tenant, id) where state = 'parked' and waiting_on = 'budget';
create index runs_halted on runs (tenant, id) where state = 'parked' and waiting_on = 'halt';
create index runs_unserved on runs (task, task_version) where unserved;

create table events (
  tenant uuid not null,
  run uuid not null,
  seq bigint not null,
  type text not null,
  at timestamptz not null,
  body text not null,
  hash bytea not null,
  primary key (tenant, run, seq)
) partition by range (run);

create table blobs (
  tenant uuid not null,
  run uuid not null,
  digest bytea not null,
  body bytea not null,
  primary key (tenant, run, digest)
) partition by range (run);

alter table blobs alter column body set storage external;  -- sealed bytes do not compress: do not try

create table signals (
  tenant uuid not null,
  run uuid not null,
  seq bigint not null,
  kind text not null check (kind in ('cancel', 'message', 'decision', 'late_outcome', 'wake')),
  body text not null,
  content bytea,
  digest bytea,
  by text not null,
  dedupe text,
  at timestamptz not null,
  primary key (tenant, run, seq)
);

create unique index signals_dedupe on signals (tenant, run, dedupe) where dedupe is not null;

create table approvals (
  tenant uuid not null,
  id uuid not null,
  run uuid not null,
  kind text not null check (kind in ('approval', 'question', 'in_doubt', 'escalation')),
  state text not null default 'pending'
    check (state in ('pending', 'approved', 'rejected', 'answered', 'declined', 'expired', 'done', 'not_done', 'go_on', 'finish',
      'fail_run', 'void')),
  scope text not null,
  step bigint not null,
  call text not null,
  tool text not null,
  key text,
  args bytea not null,  -- as the model gave them
  received bytea,  -- as the tool would receive them, where hooks changed them
  edited bytea,  -- as people last edited them
  digest text not null,  -- what a decision is bound to; each edit makes another of it
  why text,
  ask text not null default ''  -- who has to agree; '': whoever may decide
    check (ask ~ '^(|user|approver|admin|(two|three|four|five) (approver|admin)s)$'),
  round int not null default 1,
  requesters text[] not null default '{}',  -- who is behind the call: they authorise nothing of it
  asked_at timestamptz not null,
  expires_at timestamptz,
  on_expiry text not null default 'reject' check (on_expiry in ('reject', 'fail_run')),
  escalate_at timestamptz[] not null default '{}',
  escalate_ask text[] not null default '{}',  -- whom it goes to at each of these times
  escalated int not null default 0,  -- how many of them have come
  due_at timestamptz,  -- when time alone changes it next: looked for by `tick`
  newcomer interval not null default '0',  -- for how long one is a newcomer, as who voted last had it
  decided_at timestamptz,
  decided_by text,
  voters text[] not null default '{}',  -- all whose agreement settled it
  primary key (tenant, id)
);

create index approvals_of_run on approvals (tenant, run);
create index approvals_pending on approvals (tenant, asked_at, id) where state = 'pending';
create index approvals_due on approvals (due_at) where state = 'pending' and due_at is not null;

-- One row for each person and what they agreed to. Of an earlier digest, before an edit, it agrees to nothing any more.
create table approval_votes (
  tenant uuid not null,
  approval uuid not null,
  digest text not null,
  voter text not null,
  verdict text not null,
  content bytea,  -- digest of the result they say an effect had, of an answer
  via text,  -- who made the link they decided by, if another
  at timestamptz not null,
  primary key (tenant, approval, digest, voter)
);

create table approval_history (
  tenant uuid not null,
  approval uuid not null,
  nth int not null,
  at timestamptz not null,
  what text not null,  -- 'voted', 'edited', 'escalated', or the state it ended in
  by text not null,
  digest text not null,  -- from then on
  ask text not null,  -- from then on
  content bytea,  -- digest of the arguments as edited, of a reason, of a result, of an answer
  primary key (tenant, approval, nth)
);

create table idempotency_keys (
  tenant uuid not null,
  scope text not null,
  key text not null,
  request bytea not null,
  made uuid not null,  -- what the first request made: a run, a principal, a key, a tenant
  at timestamptz not null,
  primary key (tenant, scope, key)
);

create table sessions (
  tenant uuid not null,
  id uuid not null,
  subject text not null,
  principal text not null,
  last_run uuid,
  created_at timestamptz not null default clock_timestamp(),
  deleted_at timestamptz,
  deleted_by text,
  primary key (tenant, id)
);

create index sessions_listed on sessions (tenant, created_at desc, id desc) where deleted_at is null;
create index sessions_of_principal on sessions (tenant, principal, created_at desc, id desc) where deleted_at is null;

create table invalidations (
  tenant uuid not null,
  session uuid not null,
  id uuid not null,
  run uuid not null,
  first int not null,
  last int not null check (last >= first),
  messages text[] not null,  -- <run>/<digest>, as journals of later runs name them
  reason_digest bytea not null,
  reason bytea not null,
  by text not null,
  at timestamptz not null,
  lifted_at timestamptz,
  lifted_by text,
  lifted_digest bytea,
  lifted_reason bytea,
  primary key (tenant, session, id),
  check ((lifted_at is null) = (lifted_reason is null))
);

create table subject_keys (
  tenant uuid not null,
  subject text not null,
  wrapped bytea,
  kek text not null,
  created_at timestamptz not null default clock_timestamp(),
  destroyed_at timestamptz,
  primary key (tenant, subject)
);

create table halts (
  tenant uuid not null,
  id uuid not null,
  scope text not null check (scope in ('everything', 'tenant', 'task', 'tool', 'model', 'user', 'session', 'run')),
  key text not null,  -- what of that: a name, or an id as text; '' of a tenant and of everything
  reason text not null,
  by text not null,
  authority smallint not null,  -- what it takes to lift it
  at timestamptz not null,
  expires_at timestamptz,
  lifted_at timestamptz,
  lifted_by text,
  freed_at timestamptz,  -- when nothing was left that it had held back
  primary key (tenant, id),
  check (scope <> 'everything' or tenant = '00000000-0000-7000-8000-000000000000')
);

-- One halt for each thing, and one more for each person who halted what is theirs: what others did about it is not told to
-- them, nor that they did.
create unique index halts_in_force on halts (tenant, scope, key, (case when authority = 1 and scope <> 'user' then by else '' end))
  where lifted_at is null;
create index halts_expiring on halts (expires_at) where lifted_at is null and expires_at is not null;
create index halts_lifted on halts (lifted_at) where lifted_at is not null and freed_at is null;
create index halts_listed on halts (tenant, at desc, id desc) where at > '-infinity';

create table halt_acks (
  tenant uuid not null,
  halt uuid not null,
  worker uuid not null,
  host text not null,
  pid int not null,
  at timestamptz not null,
  dispatched_at timestamptz,  -- when it began what it began last
  cancelled_at timestamptz,  -- when the last call ended that could be cancelled
  finished_at timestamptz,  -- when the last effect ended that could not
  in_flight text not null,  -- a JSON array of what it has still under way
  primary key (tenant, halt, worker)
);

create unlogged table live (
  tenant uuid not null,
  run uuid not null,
  seq bigint not null,
  attempt int not null,
  part int not null,
  start int not null,
  kind text not null,
  body bytea not null,
  length int not null,
  at timestamptz not null default clock_timestamp(),
  primary key (tenant, run, seq, attempt, part, start)
);

create table workers (
  id uuid primary key,
  host text not null,
  pid int not null,
  lease_until timestamptz not null,
  lease_s double precision not null check (lease_s > 0),
  serves jsonb not null,  -- {task: [version, ...]}
  started_at timestamptz not null
) with (fillfactor = 50);

create table clock (
  one boolean primary key default true check (one),
  skew interval not null default '0'
);

create table timeline (
  one boolean primary key default true check (one),
  system_identifier bigint not null,
  timeline int not null
);
