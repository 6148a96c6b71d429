"""Simulation of daily business: each day in the source database is one transaction."""
