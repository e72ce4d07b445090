"""`holdfast halt ...`: stopping work, and letting it go on."""
