-- Rescues, quarantines, wakes, parks and unparks runs by the database's clock. And what time does to questions to people. Answers how many of each.
select rescued, quarantined, woken, parked, unparked, rewound, expired, escalated from holdfast.tick(%(limit)s)
