-- Whether a halt covers a run, or any of these tools: for what no intent announces.
select holdfast.is_held_back(%(tenant)s, %(run)s, %(names)s::jsonb)
