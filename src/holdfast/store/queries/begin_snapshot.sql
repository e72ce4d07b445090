-- Begins a transaction that sees one moment of one tenant, and writes nothing.
begin isolation level repeatable read read only; select set_config('holdfast.tenant', '%s', true)
