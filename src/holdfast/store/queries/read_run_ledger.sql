-- The rows of the ledger that are of one run.
select day, kind, name, cost_usd_micros, unpriced, times, input_tokens, output_tokens, cache_read_tokens,
  cache_write_tokens, reasoning_tokens, audio_tokens, image_tokens, server_tools, compute_ms, bytes
from holdfast.ledger
where tenant = %(tenant)s and run = %(run)s
order by day, kind, name
