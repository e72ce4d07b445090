"""`holdfast run`: one run, carried and watched by this process."""
