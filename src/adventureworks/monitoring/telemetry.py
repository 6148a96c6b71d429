"""Figures on their way to an OpenTelemetry collector: off unless OTEL_EXPORTER_OTLP_… names one.

A collector that is down, slow or wrongly named costs a log line. Figures are read by the caller's thread and kept;
another thread sends what is kept, so that nothing waits for the network.
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
FIGURES_AGE = Metric("adventureworks.watch.age", "s", "How long ago the watch last read all of these figures.")
LAST_WORD_MILLISECONDS = 2000
"""So long the end of the process waits for the last figures to be taken."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Taken:
    """What one reader read last."""

    at: float
    figures: Sequence[Figure]

    def age(self) -> float:
        return time.monotonic() - self.at


class Telemetry:
    """Offers the newest figures to the configured collector. No method raises."""

    def __init__(self, forget_after: float, environment: str = "") -> None:
        """`forget_after`: seconds after which figures are too old to be offered; `environment`: whose they are."""
        self._forget_after = forget_after
        self._environment = environment
        self._started = time.monotonic()
        self._taken: dict[int, _Taken] = {}
        self._provider: MeterProvider | None = None
        if is_configured():
            try:
                self._provider = self._start()
            except Exception:
                log.exception("No metrics are sent: the settings OTEL_… cannot be used.")

    def take(self, *readers: Read) -> None:
        """Reads new figures in place of those before, if anybody wants them; those of a reader that fails stay."""
        if self._provider is None:
            return
        for place, read in enumerate(readers):
            self._taken.setdefault(place, _Taken(self._started, ()))
            try:
                self._taken[place] = _Taken(time.monotonic(), tuple(read()))
            except Exception as error:
                # Not its text: it may hold an address.
                log.warning("Some figures for the metrics could not be read: %s", type(error).__name__)

    def close(self) -> None:
        """Sends what was read last, if that is possible at once."""
        if self._provider is None:
            return
        try:
            self._provider.shutdown(timeout_millis=LAST_WORD_MILLISECONDS)
        except Exception as error:
            log.warning("The last metrics were not sent: %s", type(error).__name__)
        self._provider = None

    def _start(self) -> MeterProvider:
        from opentelemetry.metrics import Observation
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource

        told = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        ours = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": SERVICE}
        if self._environment:
            ours["deployment.environment.name"] = self._environment
        resource = Resource.create({name: value for name, value in ours.items() if f"{name}=" not in told})
        # Of its own, not the process's: Airflow may have set one up there for its own metrics.
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
                for taken in list(self._taken.values())
                if taken.age() <= self._forget_after
                for figure in taken.figures
                if figure.metric is metric
            ]

        return observe

    def _age(self) -> float:
        """Of the oldest figures: one reader that fails is enough to worry about."""
        return max((taken.age() for taken in list(self._taken.values())), default=time.monotonic() - self._started)


def is_configured() -> bool:
    """Whether the environment names a collector, and does not forbid to send metrics there."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if os.environ.get("OTEL_METRICS_EXPORTER", "otlp").strip().lower() == "none":
        return False
    return any(os.environ.get(name) for name in ENDPOINTS)


def _exporter() -> MetricExporter:
    """OTLP over HTTP, or over gRPC where the environment asks for it."""
    if next((value for name in PROTOCOLS if (value := os.environ.get(name))), "") == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as OverGrpc

        return OverGrpc()
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as OverHttp

    return OverHttp()
