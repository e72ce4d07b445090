-- Alerts of any tenant that no worker has logged yet, forecasts that are due by now included. Each is answered once.
select tenant, budget, scope, key, unit, per, owner, since, what, at, spent, amount from holdfast.tell_alerts(%(limit)s)
