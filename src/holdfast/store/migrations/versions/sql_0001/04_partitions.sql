-- `events` and `blobs` by month of the run's id (UUIDv7: the first 48 bits are milliseconds since 1970).
-- Retention drops a month. Runs whose id lies outside every month, as with a clock set wrong, are in the default
-- partition; when their month is made, they move there.

create table events_other partition of events default;
create table blobs_other partition of blobs default;

-- The smallest UUID whose first 48 bits are this moment.
create function uuid_at(p_at timestamptz) returns uuid
language sql immutable set search_path = holdfast, pg_temp
as $$
  select (lpad(to_hex((extract(epoch from p_at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- Row security of one partition: read through the parent, it is the parent's that counts; this one is for
-- whoever names the partition.
create function secure_partition(p_name text) returns void
language plpgsql set search_path = holdfast, pg_temp
as $$
begin
  execute format('alter table %I enable row level security', p_name);
  execute format('alter table %I force row level security', p_name);
  execute format('create policy tenant on %I using (tenant = nullif(current_setting(''holdfast.tenant'', true), '''')::uuid)', p_name);
end $$;

select secure_partition('events_other'), secure_partition('blobs_other');

-- One month of one table, if it is not there yet. Made apart and attached, so that only the default partition is
-- locked against everyone, and only for as long as there is nothing in it of that month to move.
create function create_partition(p_table text, p_month timestamptz) returns boolean
language plpgsql security definer set search_path = holdfast, pg_temp set lock_timeout = '2s'
as $$
declare
  name text := p_table || '_' || to_char(p_month at time zone 'utc', 'YYYYMM');
  other text := p_table || '_other';
  low uuid := uuid_at(p_month);
  high uuid := uuid_at(p_month at time zone 'utc' + interval '1 month');
begin
  if to_regclass(format('holdfast.%I', name)) is not null then
    return false;
  end if;
  -- Another worker may be making it. Whoever comes second finds it made: in the table itself, for what to_regclass
  -- has cached may be older than the lock.
  perform pg_advisory_xact_lock(hashtextextended('holdfast.partitions', 0));
  if exists (select from pg_class c where c.relnamespace = 'holdfast'::regnamespace and c.relname = name) then
    return false;
  end if;
  execute format('create table %I (like %I including all)', name, p_table);
  perform secure_partition(name);
  -- The owner sees no row of any tenant; to move rows of all, it looks without row security, under the lock.
  execute format('lock table %I in access exclusive mode', other);
  execute format('alter table %I no force row level security', other);
  execute format('alter table %I no force row level security', name);
  execute format('with moved as (delete from %I where run >= $1 and run < $2 returning *) insert into %I select * from moved',
                 other, name) using low, high;
  execute format('alter table %I force row level security', other);
  execute format('alter table %I force row level security', name);
  execute format('alter table %I attach partition %I for values from (%L) to (%L)', p_table, name, low, high);
  return true;
end $$;

-- The months from this one to `months_ahead` from now. Answers how many tables were made.
create function ensure_partitions(months_ahead int) returns int
language plpgsql security definer set search_path = holdfast, pg_temp
as $$
declare
  first timestamptz := date_trunc('month', holdfast.now() at time zone 'utc') at time zone 'utc';
  made int := 0;
begin
  for ahead in 0..least(months_ahead, 24) loop
    for parent in 0..1 loop
      made := made + create_partition((array['events', 'blobs'])[parent + 1],
        (first at time zone 'utc' + make_interval(months => ahead)) at time zone 'utc')::int;
    end loop;
  end loop;
  return made;
end $$;

select ensure_partitions(2);

grant execute on function ensure_partitions(int) to holdfast_engine, holdfast_worker;
