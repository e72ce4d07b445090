-- live_no_wait: this transaction's commit does not wait for the disk.
set local synchronous_commit = off
