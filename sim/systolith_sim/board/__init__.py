"""Models of what is on a board around the core."""
