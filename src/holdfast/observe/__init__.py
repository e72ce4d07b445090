"""What Holdfast tells about itself: one catalogue of names, one set-up of logs."""
