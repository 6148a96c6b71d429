"""What a monitoring system is told: figures on freshness, verdicts, queues and incidents, and how they get there.

`figures` reads them, `telemetry` offers them to an OpenTelemetry collector. The watch does both: see
`adventureworks.orchestration.watch`.
"""
