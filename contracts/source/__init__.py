"""Contracts of the 71 source tables: one module per source schema, one class per table."""
