"""Models of the customers marts."""
