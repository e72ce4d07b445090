-- Says in which time zone a tenant's days begin. False: there is no such zone.
select holdfast.set_time_zone(%(tenant)s, %(zone)s, %(by)s)
