"""The server's HTTP side: `/livez`, `/readyz`, `/metrics`, `/status` and the live viewer at `/`.

Reads snapshots and the live feed; it can neither slow nor change what is served.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from langpose_rt.errors import ConfigError
from langpose_rt.monitoring.counters import EDGES_MS, LOSSES
from langpose_rt.monitoring.snapshot import Snapshot
from langpose_rt.server.http_host import OPEN_PATHS, is_ours
from langpose_rt.server.viewer_feed import ViewerFeed
from langpose_rt.server.viewer_page import VIEWER_POLICY, viewer_file

REQUEST_TIMEOUT_S = 5.0
MOST_REQUESTS = 16
"""Connections held at once; one more cuts the one that was held longest."""
VIEWER_BUFFER_BYTES = 65536
"""What may be on its way to a page: more would only be older, and hide that it has frozen."""

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_Request = socket.socket | tuple[bytes, socket.socket]
_STATE_METRICS = ("starting", "ready", "degraded", "draining")


class SnapshotCollector(Collector):
    """Snapshots as Prometheus metrics.

    Args:
        snapshot: Makes one.
    """

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment; streams that are gone are not among them."""
        now = self._snapshot()
        for name, value in now.counters.items():
            if name != "rejected":
                yield CounterMetricFamily(f"langpose_{name}", f"Total of {name}.", value=value)
        rejected = CounterMetricFamily(
            "langpose_rejected", "Messages refused, by reason.", labels=["reason"]
        )
        for reason, count in now.rejected.items():
            rejected.add_metric([reason], count)
        yield rejected
        yield from _gauges(now)
        yield from _stream_metrics(now)
        buckets, total = [], 0
        for edge_ms, count in zip([*EDGES_MS, None], now.buckets, strict=True):
            total += count
            buckets.append(("+Inf" if edge_ms is None else str(edge_ms / 1000), total))
        yield HistogramMetricFamily(
            "langpose_latency_seconds",
            "From the arrival of a frame to its pose.",
            buckets=buckets,
            sum_value=now.latency_total_ns / 1e9,
        )


def _gauges(now: Snapshot) -> Iterator[Metric]:
    numbers = {
        "uptime_seconds": now.uptime_s,
        "persons": now.persons,
        "slots": now.slots,
        "streams": len(now.streams),
        "poses_per_second": now.fps,
    }
    for name, value in numbers.items():
        yield GaugeMetricFamily(f"langpose_{name}", name.replace("_", " ") + ".", value=value)
    state = GaugeMetricFamily("langpose_state", "1 for the state it is in.", labels=["state"])
    for known in _STATE_METRICS:
        state.add_metric([known], float(known == now.state))
    yield state


def _stream_metrics(now: Snapshot) -> Iterator[Metric]:
    frames = CounterMetricFamily(
        "langpose_stream_frames", "Frames accepted.", labels=["rig", "camera"]
    )
    lost = CounterMetricFamily(
        "langpose_stream_lost", "Frames lost, by how.", labels=["rig", "camera", "how"]
    )
    for stream in now.streams:
        frames.add_metric([stream.rig, stream.camera], stream.totals["accepted"])
        for how in LOSSES:
            lost.add_metric([stream.rig, stream.camera, how], stream.totals[how])
    yield frames
    yield lost


class HealthServer:
    """Answers HTTP requests in threads of its own.

    Args:
        address: Where it listens.
        port: 0 takes any free one.
        snapshot: Makes a snapshot; called from other threads.
        alive: Whether the serving threads still turn.
        feed: What the live viewer is told.

    Raises:
        ConfigError: If it cannot listen there.
    """

    def __init__(
        self,
        address: str,
        port: int,
        *,
        snapshot: Callable[[], Snapshot],
        alive: Callable[[], bool],
        feed: ViewerFeed | None = None,
    ) -> None:
        self._feed = feed = feed or ViewerFeed()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(SnapshotCollector(snapshot))
        self._pages = _Pages(snapshot, alive, registry, feed)
        try:
            self._http = _Http((address, port), self._pages)
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"cannot listen for HTTP on {address}:{port} ({_why(error)}); "
                "choose another --http-port"
            ) from None
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.2}, name="http", daemon=True
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._http.server_address[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; requests under way are cut, and none is waited for."""
        self._feed.close()
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()
        self._http.cut(0)


class _Pages:
    """What is answered to which path."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        alive: Callable[[], bool],
        registry: CollectorRegistry,
        feed: ViewerFeed,
    ) -> None:
        self._snapshot, self._alive, self._registry = snapshot, alive, registry
        self.feed = feed

    def events(self) -> Iterator[bytes]:
        """What one live viewer is told, until the server stops."""
        return self.feed.events(self._snapshot)

    def answer(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        """Status, content type and body for a path."""
        if path == "/livez":
            return _verdict(self._alive(), "alive", "a serving thread has stopped")
        if path == "/readyz":
            state = self._snapshot().state
            return _verdict(self._alive() and state == "ready", "ready", f"not ready: {state}")
        if path == "/metrics":
            return HTTPStatus.OK, _METRICS_TYPE, generate_latest(self._registry)
        if path == "/status":
            body = msgspec.json.format(msgspec.json.encode(self._snapshot()), indent=2)
            return HTTPStatus.OK, "application/json", body + b"\n"
        if (found := viewer_file(path)) is not None:
            return HTTPStatus.OK, *found
        known = b"try / for the viewer, /livez, /readyz, /metrics or /status\n"
        return HTTPStatus.NOT_FOUND, "text/plain", known


def _verdict(good: bool, yes: str, no: str) -> tuple[HTTPStatus, str, bytes]:
    status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    return status, "text/plain", (yes if good else no).encode() + b"\n"


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], pages: _Pages) -> None:
        self.pages, self.bound_to = pages, address[0]
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._held: dict[socket.socket, None] = {}
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: _Request, client_address: object) -> None:
        """Answer in a new thread; never waits, so that who is silent keeps nobody else out."""
        assert isinstance(request, socket.socket)
        with self._lock:
            self._held[request] = None
        self.cut(MOST_REQUESTS)
        super().process_request(request, client_address)

    def shutdown_request(self, request: _Request) -> None:
        """Close a connection; runs in its thread."""
        assert isinstance(request, socket.socket)
        with self._lock:
            self._held.pop(request, None)
        super().shutdown_request(request)

    def cut(self, most: int) -> None:
        """Cut the connections held longest, as many as there are beyond ``most``."""
        with self._lock:
            while len(self._held) > most:
                oldest = next(iter(self._held))
                del self._held[oldest]
                with suppress(OSError):  # its client has gone
                    oldest.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is its own affair."""


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    timeout = REQUEST_TIMEOUT_S

    def do_GET(self) -> None:
        """Answer one page."""
        path = self.path.partition("?")[0]
        if path not in OPEN_PATHS and not is_ours(self.headers["Host"], self.server.bound_to):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "use an IP address or localhost")
            return None
        if path == "/live":
            return self._tell_viewer()
        status, content_type, body = self.server.pages.answer(path)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", VIEWER_POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)
        return None

    def _tell_viewer(self) -> None:
        """Server-sent events until the page leaves, is too slow, or the server stops."""
        pages = self.server.pages
        with pages.feed.seat() as seated:
            if not seated:
                self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, "too many viewers")
                return
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, VIEWER_BUFFER_BYTES)
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            for event in pages.events():
                self.wfile.write(event)

    def log_message(self, *_: object) -> None:
        """Requests are not logged."""


def _why(error: Exception) -> str:
    return error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
