-- Puts a signal into a run's inbox, and wakes the run if it is parked.
select outcome, seq from holdfast.deliver_signal(%(tenant)s, %(run)s, %(kind)s, %(body)s, %(content)s, %(digest)s, %(by)s,
  %(dedupe)s)
