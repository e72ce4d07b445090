"""`holdfast init`: a small project that runs offline at once."""
