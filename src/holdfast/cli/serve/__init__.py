"""`holdfast serve`: a process that is the HTTP API and nothing else."""
