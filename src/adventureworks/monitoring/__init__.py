"""Metrics for a monitoring system: freshness, verdicts, queues and incidents.

`figures` reads them, `telemetry` exports them to an OpenTelemetry collector. The watch does both: see
`adventureworks.orchestration.watch`.
"""
