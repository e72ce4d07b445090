"""`holdfast sessions ...`."""
