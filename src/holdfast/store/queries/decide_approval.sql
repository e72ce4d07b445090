-- Settles a human task, once, and delivers the decision to its run.
select outcome, state, decided_by, run, seq from holdfast.decide_approval(%(tenant)s, %(approval)s, %(verdict)s, %(digest)s,
  %(by)s, %(body)s, %(content)s, %(content_digest)s)
