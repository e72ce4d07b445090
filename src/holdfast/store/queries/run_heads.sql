-- Where the journals of a tenant end, in the order of their ids: what its deletion leaves a digest of.
select id, seq, head from holdfast.runs where tenant = %(tenant)s and (%(after)s::uuid is null or id > %(after)s)
order by id limit %(limit)s
