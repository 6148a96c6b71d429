"""The gate: contract, references, checks and quarantine give a verdict on a change before readers see it."""
