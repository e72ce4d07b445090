-- live_sweep: remove live text that nobody removed: its worker died, and its run streamed no more.
-- Rows of a response that is still being generated may go too: their publisher notices and publishes them again.
delete from holdfast.live
where tenant = %(tenant)s and at < clock_timestamp() - make_interval(secs => %(older_than_s)s)
