-- One batch of members through the fence, in a transaction of its own. The journal writer's only write. The
-- parameters are those of the function: members, their events, their blobs, what is rare, as JSON, and what the events add
-- to the ledger. A member that was appended and of which there is nothing else to say, as of nearly all, has no row: $9 is
-- what it folded.
select idx, outcome, inbox_seq, cancelling, why
from holdfast.append(
  $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
  $12, $13, $14, $15, $16, $17,
  $18, $19, $20,
  $21,
  $22, $23)
where outcome <> 'appended' or cancelling or inbox_seq <> ($9::bigint[])[idx]
