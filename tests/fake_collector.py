"""A real HTTP server that takes spans as an OpenTelemetry collector does: OTLP over HTTP, in protobuf, at /v1/traces and nowhere else."""

from __future__ import annotations

import gzip
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse


class FakeCollector:
    """`with FakeCollector() as collector:` serves `collector.url`. token: that it wants as Authorization."""

    def __init__(self, token: str = ""):
        self.spans: list = []  # (process, span)
        self.raw = b""
        self.refused = 0
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None: ...

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                right = self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"
                status = 404 if not right else 401 if self.headers.get("Authorization", "") != token else 200
                if status == 200:
                    collector._take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
                else:
                    collector.refused += 1
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeCollector:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, *names: str, wait_s: float = 20.0) -> dict[str, list]:
        """The spans by name, once there is one of each."""
        ends = time.monotonic() + wait_s
        while not set(names) <= {span.name for _, span in self.spans}:
            assert time.monotonic() < ends, f"only {sorted({span.name for _, span in self.spans})} came"
            time.sleep(0.05)
        found: dict[str, list] = {}
        for _, span in list(self.spans):
            found.setdefault(span.name, []).append(span)
        return found

    def _take(self, body: bytes) -> None:
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            told = {one.key: one.value.string_value for one in resource.resource.attributes}
            self.spans += [(told["maisale.process"], span) for scope in resource.scope_spans for span in scope.spans]
