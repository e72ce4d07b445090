set local role holdfast_owner;
-- The ledger: what runs cost, added up as it is journaled, so that nobody has to read journals to know.
--
-- One row for a run, a day (of the writer's clock, in UTC) and a model or tool. Only the holder of the run writes it, in
-- the commit of the events that it sums up: two workers never wait for one another here. What `lines_of` in
-- domain/ledger.py says of a journal adds up to its rows, always.

create table ledger (
  tenant uuid not null,
  run uuid not null,
  day date not null,
  kind text not null check (kind in ('model', 'tool', 'run')),  -- 'run': what was stored beside no step
  name text not null,  -- of the model or tool
  task text not null,
  principal text not null,
  requested_by text,
  session uuid,
  feature text not null,  -- the run's label of that name; '' without
  cost_usd_micros bigint not null,
  unpriced bigint not null,  -- steps of which something is not in the cost, for want of a price
  times bigint not null,  -- requests, calls
  input_tokens bigint not null,
  output_tokens bigint not null,
  cache_read_tokens bigint not null,
  cache_write_tokens bigint not null,
  reasoning_tokens bigint not null,
  audio_tokens bigint not null,
  image_tokens bigint not null,
  server_tools bigint not null,
  compute_ms bigint not null,
  bytes bigint not null,  -- that were stored in the commits of these steps
  primary key (tenant, run, day, kind, name)
) with (fillfactor = 70);

create index ledger_by_day on ledger (tenant, day);

create policy tenant on ledger using (tenant = nullif(current_setting('holdfast.tenant', true), '')::uuid);
alter table ledger enable row level security;
alter table ledger force row level security;
create policy engine on ledger to holdfast_engine using (true) with check (true);

grant select, insert, update on ledger to holdfast_engine;
grant select on ledger to holdfast_worker, holdfast_api;

set local role holdfast_engine;

-- Adds lines to the rows of runs that were appended to. Three texts a line: kind, name, feature. Fifteen numbers: the
-- member, the day as days since 1970, and the amounts in the order of the table. No member has two lines of one row.
create function write_costs(m_tenant uuid[], m_run uuid[], verdict text[], c_texts text[], c_numbers bigint[])
returns void
language plpgsql set search_path = holdfast, pg_temp
as $$
begin
  insert into ledger as l
  select r.tenant, r.id, date '1970-01-01' + c_numbers[n * 15 - 13]::int, c_texts[n * 3 - 2], c_texts[n * 3 - 1],
    r.task, r.principal, r.requested_by, r.session, c_texts[n * 3],
    c_numbers[n * 15 - 12], c_numbers[n * 15 - 11], c_numbers[n * 15 - 10], c_numbers[n * 15 - 9],
    c_numbers[n * 15 - 8], c_numbers[n * 15 - 7], c_numbers[n * 15 - 6], c_numbers[n * 15 - 5],
    c_numbers[n * 15 - 4], c_numbers[n * 15 - 3], c_numbers[n * 15 - 2], c_numbers[n * 15 - 1], c_numbers[n * 15]
  from generate_series(1, cardinality(c_texts) / 3) as n
  join runs r on r.tenant = m_tenant[c_numbers[n * 15 - 14]] and r.id = m_run[c_numbers[n * 15 - 14]]
  where verdict[c_numbers[n * 15 - 14]] = 'appended'
  on conflict (tenant, run, day, kind, name) do update set
    cost_usd_micros = l.cost_usd_micros + excluded.cost_usd_micros,
    unpriced = l.unpriced + excluded.unpriced,
    times = l.times + excluded.times,
    input_tokens = l.input_tokens + excluded.input_tokens,
    output_tokens = l.output_tokens + excluded.output_tokens,
    cache_read_tokens = l.cache_read_tokens + excluded.cache_read_tokens,
    cache_write_tokens = l.cache_write_tokens + excluded.cache_write_tokens,
    reasoning_tokens = l.reasoning_tokens + excluded.reasoning_tokens,
    audio_tokens = l.audio_tokens + excluded.audio_tokens,
    image_tokens = l.image_tokens + excluded.image_tokens,
    server_tools = l.server_tools + excluded.server_tools,
    compute_ms = l.compute_ms + excluded.compute_ms,
    bytes = l.bytes + excluded.bytes;
end $$;

set local role holdfast_owner;
