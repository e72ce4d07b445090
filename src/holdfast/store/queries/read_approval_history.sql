-- What has happened to a human task, in order. Where the task is not the tenant's there is nothing.
select h.nth, h.at, h.what, h.by, h.digest, h.ask, h.content
from holdfast.approval_history h where h.tenant = %(tenant)s and h.approval = %(approval)s order by h.nth
