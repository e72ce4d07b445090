-- Settles a human task, once, and delivers the decision to its run; or adds a vote where more have to agree.
select outcome, state, decided_by, run, seq, why, agreed, needed
from holdfast.decide_approval(%(tenant)s, %(approval)s, %(verdict)s, %(digest)s, %(by)s, %(content)s, %(content_digest)s,
  %(newcomer_s)s, %(via)s)
