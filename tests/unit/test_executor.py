"""The local executor: no task may begin before the API server answers it."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from adventureworks.embedded import executor


def test_it_waits_until_the_api_server_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    class ApiServer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, 503 if len(asked) < 2 else 200))
            self.send_response(asked[-1][1])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), ApiServer)
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", f"http://127.0.0.1:{server.server_port}/execution/")
    starting = threading.Timer(0.2, server.serve_forever)
    starting.start()
    forked: list[int] = []
    monkeypatch.setattr(executor, "warm_up", lambda: None)
    monkeypatch.setattr(executor.LocalExecutor, "start", lambda self: forked.append(len(asked)))
    executor.WarmLocalExecutor().start()
    server.shutdown()
    server.server_close()
    starting.join()
    assert asked == [("/execution/health", 503), ("/execution/health", 503), ("/execution/health", 200)]
    assert forked == [3], "workers are forked after that"
