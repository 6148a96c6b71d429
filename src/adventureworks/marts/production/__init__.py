"""Models of the production marts, and the notices about them."""
