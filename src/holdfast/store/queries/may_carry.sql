-- Whether this login may carry runs, as workers do.
select has_function_privilege('holdfast.register_worker(uuid, text, int, jsonb, double precision)', 'execute')
