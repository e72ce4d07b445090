"""The only way out: how a tool's outside consequence may be recovered, and the key that names it."""
