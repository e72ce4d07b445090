-- Rescues, quarantines, wakes, parks and unparks runs by the database's clock; and what time does to questions to people.
-- Answers how many of each, and how many halts have run out.
select rescued, quarantined, woken, parked, unparked, rewound, expired, escalated, halts_due from holdfast.tick(%(limit)s)
