"""Models of the quality marts."""
