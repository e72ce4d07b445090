-- Ends the halts whose time is up.
select holdfast.expire_halts()
