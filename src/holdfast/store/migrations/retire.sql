-- The end of every upgrade: the engine may create nothing, and who migrated is a member of nothing and may read the
-- schema's version, no more.
set local role holdfast_owner;
do $$
begin
  -- So that it can say which version is in force. A superuser may anyway.
  execute format('grant usage on schema holdfast to %I', session_user);
  execute format('grant select on schema_version to %I', session_user);
end $$;
revoke create on schema holdfast from holdfast_engine;
reset role;

do $$
declare
  role text;
begin
  for role in select name from holdfast_membership loop
    execute format('revoke %I from current_user', role);
  end loop;
end $$;
