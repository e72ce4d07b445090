-- Who has agreed to a human task, and to what, in order: also those whose vote counts no more.
select v.voter, v.verdict, v.digest, v.content, v.via, v.at
from holdfast.approval_votes v where v.tenant = %(tenant)s and v.approval = %(approval)s order by v.at, v.voter
