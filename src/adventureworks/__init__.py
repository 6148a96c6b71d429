"""AdventureWorks DataOps: an event-driven data platform whose every step is gated."""
