"""`holdfast dev`: API and worker as processes of their own, started again on change."""
