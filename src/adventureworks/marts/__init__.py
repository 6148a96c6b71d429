"""The marts: a folder per domain with a model per mart, and the steps that every analysis runs."""
