"""Contracts of the marts: one module per domain, one class per mart."""
