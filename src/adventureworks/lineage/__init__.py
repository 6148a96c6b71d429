"""Lineage: the origin of each mart's columns, back to the source, and the OpenLineage events that report it."""
