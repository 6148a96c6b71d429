"""Exports metrics to an OpenTelemetry collector; off unless OTEL_EXPORTER_OTLP_… names one.

A collector that is down, slow or misconfigured costs a log line. The caller's thread reads and stores the figures;
another thread sends what is stored, so that the caller never waits for the network.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adventureworks.monitoring.figures import METRICS, Figure, Metric

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Observation
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricExporter

Read = Callable[[], Iterable[Figure]]
ENDPOINTS = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SERVICE = "adventureworks"
FIGURES_AGE = Metric("adventureworks.watch.age", "s", "Time since the watch last read all of these metrics.")
SHUTDOWN_TIMEOUT_MILLISECONDS = 2000
"""Timeout for sending the last figures when the process ends."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Reading:
    """The figures that a reader last returned."""

    at: float
    figures: Sequence[Figure]

    def age(self) -> float:
        return time.monotonic() - self.at


class Telemetry:
    """Exports the newest figures to the configured collector. No method raises."""

    def __init__(self, max_age: float, environment: str = "") -> None:
        """`max_age`: seconds after which figures are too old to be sent; `environment`: added to the resource."""
        self._max_age = max_age
        self._environment = environment
        self._started = time.monotonic()
        self._readings: dict[int, _Reading] = {}
        self._provider: MeterProvider | None = None
        if is_configured():
            try:
                self._provider = self._start()
            except Exception:
                log.exception("No metrics are sent: the OTEL_… settings are not usable.")

    def refresh(self, *readers: Read) -> None:
        """Read new figures if a collector is configured; if a reader fails, its last figures are kept."""
        if self._provider is None:
            return
        for place, read in enumerate(readers):
            self._readings.setdefault(place, _Reading(self._started, ()))
            try:
                self._readings[place] = _Reading(time.monotonic(), tuple(read()))
            except Exception as error:
                # Only the type: the message may contain an address.
                log.warning("Some metrics could not be read: %s", type(error).__name__)

    def close(self) -> None:
        """Send what was read last, if the collector accepts it within a short timeout."""
        if self._provider is None:
            return
        try:
            self._provider.shutdown(timeout_millis=SHUTDOWN_TIMEOUT_MILLISECONDS)
        except Exception as error:
            log.warning("The last metrics were not sent: %s", type(error).__name__)
        self._provider = None

    def _start(self) -> MeterProvider:
        from opentelemetry.metrics import Observation
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource

        configured = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        ours = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": SERVICE}
        if self._environment:
            ours["deployment.environment.name"] = self._environment
        resource = Resource.create({name: value for name, value in ours.items() if f"{name}=" not in configured})
        # Use a separate provider, because Airflow may have set the global one for its own metrics.
        provider = MeterProvider([PeriodicExportingMetricReader(_exporter())], resource, shutdown_on_exit=False)
        meter = provider.get_meter(SERVICE)
        for metric in METRICS:
            meter.create_observable_gauge(
                metric.name, [self._observer(metric)], unit=metric.unit, description=metric.meaning
            )
        meter.create_observable_gauge(
            FIGURES_AGE.name,
            [lambda _: [Observation(self._age())]],
            unit=FIGURES_AGE.unit,
            description=FIGURES_AGE.meaning,
        )
        return provider

    def _observer(self, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
        from opentelemetry.metrics import Observation

        def observe(_: CallbackOptions) -> Iterable[Observation]:
            return [
                Observation(figure.value, figure.labels)
                for reading in list(self._readings.values())
                if reading.age() <= self._max_age
                for figure in reading.figures
                if figure.metric is metric
            ]

        return observe

    def _age(self) -> float:
        """Return the age of the oldest figures, so that a single failing reader shows up."""
        return max(
            (reading.age() for reading in list(self._readings.values())), default=time.monotonic() - self._started
        )


def is_configured() -> bool:
    """Return whether the environment names a collector and does not disable metrics."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if os.environ.get("OTEL_METRICS_EXPORTER", "otlp").strip().lower() == "none":
        return False
    return any(os.environ.get(name) for name in ENDPOINTS)


def _exporter() -> MetricExporter:
    """Return an exporter for OTLP over HTTP, or over gRPC if the environment requests it."""
    if next((value for name in PROTOCOLS if (value := os.environ.get(name))), "") == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as OverGrpc

        return OverGrpc()
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as OverHttp

    return OverHttp()
