-- What the companies of `holdfast demo tenants` have of their own: each its plans, kept apart by a policy.
create table plans (
  tenant uuid not null default current_setting('holdfast.tenant')::uuid,
  plan text not null,
  primary key (tenant, plan)
);
alter table plans enable row level security;
alter table plans force row level security;
create policy tenant on plans using (tenant = nullif(current_setting('holdfast.tenant', true), '')::uuid);
grant select, insert on plans to holdfast_tools;
