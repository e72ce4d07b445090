"""What may happen: `(intent, facts) -> verdict`. Pure: no I/O but a policy's own file, no clock, no database."""
