"""A local OpenTelemetry collector that stores the metrics it receives over HTTP."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

Labels = frozenset[tuple[str, str]]


@dataclass
class Collector:
    """Stores the newest value of every series. `hangs`: it accepts requests but never answers."""

    port: int = 0
    hangs: bool = False
    requests: int = 0
    resource: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    series: dict[str, dict[Labels, float]] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def store(self, body: bytes) -> None:
        for of_resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            self.resource |= _labels(of_resource.resource.attributes)
            for metric in (metric for scope in of_resource.scope_metrics for metric in scope.metrics):
                self.units[metric.name] = metric.unit
                points = self.series.setdefault(metric.name, {})
                for point in metric.gauge.data_points:
                    labels = frozenset(_labels(point.attributes).items())
                    points[labels] = point.as_double if point.HasField("as_double") else point.as_int

    def values(self, metric: str, label: str, **where: str) -> dict[str, float]:
        """Return the values of a metric by one of its labels, for the series that have the labels `where`."""
        return {
            dict(labels)[label]: value for labels, value in self.series[metric].items() if where.items() <= set(labels)
        }


@pytest.fixture
def collector() -> Iterator[Collector]:
    kept, end = Collector(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.requests += 1
            if kept.hangs:
                end.wait()
            assert self.path == "/v1/metrics"
            kept.store(body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kept.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield kept
    end.set()
    server.shutdown()
    thread.join()
    server.server_close()


def _labels(attributes: Any) -> dict[str, str]:
    return {attribute.key: attribute.value.string_value for attribute in attributes}
