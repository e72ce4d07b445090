"""`holdfast budget ...`: what may be spent, and what is."""
