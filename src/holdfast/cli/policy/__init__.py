"""`holdfast policy`: writing a policy, and knowing what it says."""
