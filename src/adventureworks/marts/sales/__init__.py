"""Models of the sales marts."""
