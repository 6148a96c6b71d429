"""Data contracts as documents: what they promise, how two revisions differ, and their export to the open standard."""
