"""`holdfast tenants`, `principals`, `keys` and `audit`."""
