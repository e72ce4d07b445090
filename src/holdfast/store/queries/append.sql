-- One batch of members through the fence, in a transaction of its own. The journal writer's only write.
select idx, outcome, inbox_seq, cancelling
from holdfast.append(
  %(m_tenant)b, %(m_run)b, %(m_worker)b, %(m_epoch)b, %(m_seq)b, %(m_head)b, %(m_new_seq)b, %(m_new_head)b,
  %(m_folded)b, %(m_flags)b, %(m_increments)b,
  %(e_member)b, %(e_seq)b, %(e_type)b, %(e_at)b, %(e_body)b, %(e_hash)b,
  %(b_member)b, %(b_digest)b, %(b_body)b,
  %(rare)b)
