"""`holdfast doctor`: looks, explains, changes nothing."""
