-- The end of every upgrade: the engine may create nothing, and who migrated is a member of nothing.
set local role holdfast_owner;
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
