-- Registers a worker with its first lease. `serves` is {task: [version, ...]}.
select holdfast.register_worker(%(worker)s, %(host)s, %(pid)s, %(serves)s::jsonb, %(lease_s)s)
