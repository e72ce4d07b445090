"""`holdfast runs`: see, follow, stop, talk."""
