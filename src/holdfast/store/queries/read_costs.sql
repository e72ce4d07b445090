-- What runs cost from one day to another, both included, by what is named in `by`; what is not named there is null. A row
-- that is of no model, or of no tool, has null there too. Where `only` is given, of runs that are that principal's.
select
  case when 'day' = any (%(by)s::text[]) then l.day::text end as day,
  case when 'feature' = any (%(by)s::text[]) then l.feature end as feature,
  case when 'model' = any (%(by)s::text[]) and l.kind = 'model' then l.name end as model,
  case when 'tool' = any (%(by)s::text[]) and l.kind = 'tool' then l.name end as tool,
  case when 'task' = any (%(by)s::text[]) then l.task end as task,
  case when 'user' = any (%(by)s::text[]) then l.principal end as "user",
  case when 'session' = any (%(by)s::text[]) then l.session::text end as session,
  case when 'run' = any (%(by)s::text[]) then l.run::text end as run,
  sum(l.cost_usd_micros)::bigint as cost_usd_micros,
  coalesce(sum(l.cost_usd_micros) filter (where l.kind = 'model'), 0)::bigint as model_usd_micros,
  coalesce(sum(l.cost_usd_micros) filter (where l.kind = 'tool'), 0)::bigint as tool_usd_micros,
  sum(l.unpriced)::bigint as unpriced,
  coalesce(sum(l.times) filter (where l.kind = 'model'), 0)::bigint as model_requests,
  coalesce(sum(l.times) filter (where l.kind = 'tool'), 0)::bigint as tool_calls,
  sum(l.input_tokens)::bigint as input_tokens,
  sum(l.output_tokens)::bigint as output_tokens,
  sum(l.cache_read_tokens)::bigint as cache_read_tokens,
  sum(l.cache_write_tokens)::bigint as cache_write_tokens,
  sum(l.reasoning_tokens)::bigint as reasoning_tokens,
  sum(l.audio_tokens)::bigint as audio_tokens,
  sum(l.image_tokens)::bigint as image_tokens,
  sum(l.server_tools)::bigint as server_tools,
  sum(l.compute_ms)::bigint as compute_ms,
  sum(l.bytes)::bigint as bytes
from holdfast.ledger l
where l.tenant = %(tenant)s
  and l.day between %(since)s and %(until)s
  and (%(only)s::text is null or %(only)s in (l.principal, l.requested_by))
group by 1, 2, 3, 4, 5, 6, 7, 8
order by 1, cost_usd_micros desc, 2, 3, 4, 5, 6, 7, 8
limit %(limit)s
