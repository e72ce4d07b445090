-- Begins a transaction in the scope of one tenant.
begin; select set_config('holdfast.tenant', '%s', true)
