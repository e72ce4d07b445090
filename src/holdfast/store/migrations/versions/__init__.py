"""One thin file per version."""
