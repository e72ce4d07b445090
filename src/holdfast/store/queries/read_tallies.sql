-- What sums are at this moment, and how much of each an effect has added itself.
select name, seen, own from holdfast.read_tallies(%(tenant)s, %(run)s, %(key)s, %(names)s::text[], %(owners)s::text[],
  %(since)s::timestamptz[])
