-- Rescues, quarantines, wakes, parks and unparks runs by the database's clock. Answers how many of each.
select rescued, quarantined, woken, parked, unparked, rewound from holdfast.tick(%(limit)s)
