"""Contracts of tables and marts, between their producers and consumers. Nothing here imports from `src`."""
