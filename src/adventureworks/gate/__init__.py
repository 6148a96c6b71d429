"""The gate: contracts, references, checks and quarantine, which decide on a change before readers see it."""
