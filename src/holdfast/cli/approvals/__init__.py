"""`holdfast approvals`: what waits for people."""
