"""HTTP server: `/livez`, `/readyz`, `/metrics`, `/status` and the live viewer at `/`.

Reads snapshots and the viewer feed; it can neither slow nor change the poses. A recording is sent
to the page that asks for it, and only to a page of this server.
"""

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
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
from langpose_rt.monitoring.counters import EDGES_MS, LOSSES, MEANINGS
from langpose_rt.monitoring.snapshot import Snapshot
from langpose_rt.server.viewer.feed import (
    LIVE_PATHS,
    RECORDING,
    VIEWER_POLICY,
    LiveAnswer,
    ViewerFeed,
    viewer_file,
)

REQUEST_TIMEOUT_S = 5.0
MOST_REQUESTS = 16
"""Open connections; one more closes the oldest."""
VIEWER_BUFFER_BYTES = 65536
"""Send buffer of a page: a larger one would hold older poses, and hide that the page has frozen."""

OWN_PAGE = "X-Langpose"
"""Header that only a page of this server can send: to others, browsers refuse it."""

OPEN_PATHS = frozenset({"/livez", "/readyz", "/metrics"})
"""Answered under any host name: probes and Prometheus use the name of their network."""

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_Request = socket.socket | tuple[bytes, socket.socket]
_STATE_METRICS = ("starting", "ready", "degraded", "draining")


class SnapshotCollector(Collector):
    """Prometheus metrics of a snapshot.

    Args:
        snapshot: Returns the state of the server.
    """

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of this moment; removed streams are not among them."""
        now = self._snapshot()
        for name, value in now.counters.items():
            if name != "rejected":
                said = MEANINGS.get(name, f"Total of {name.replace('_', ' ')}.")
                yield CounterMetricFamily(f"langpose_{name}", said, value=value)
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
        snapshot: Returns the state of the server; called from other threads.
        alive: Returns True if the serving threads make progress.
        feed: Events for the live viewer.

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
                f"cannot listen for HTTP on {address}:{port} ({_reason(error)}); "
                "choose another --http-port"
            ) from None
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.2}, name="http", daemon=True
        )

    @property
    def port(self) -> int:
        """Port it listens on."""
        return int(self._http.server_address[1])

    def start(self) -> None:
        """Begin to answer requests."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, and close connections without waiting for requests under way."""
        self._feed.close()
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()
        self._http.close_oldest(0)


class _Pages:
    """Answers by path."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        alive: Callable[[], bool],
        registry: CollectorRegistry,
        feed: ViewerFeed,
    ) -> None:
        self._snapshot, self._alive, self._registry = snapshot, alive, registry
        self.feed = feed

    def live_answer(self, path: str) -> LiveAnswer:
        """Return the answer for one of LIVE_PATHS.

        Raises:
            ConfigError: If recordings cannot be made here.
        """
        return self.feed.live_answer(path, self._snapshot)

    def answer(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        """Return status, content type and body for a path."""
        if path == "/livez":
            return _probe(self._alive(), "alive", "a serving thread has stopped")
        if path == "/readyz":
            state = self._snapshot().state
            return _probe(self._alive() and state == "ready", "ready", f"not ready: {state}")
        if path == "/metrics":
            return HTTPStatus.OK, _METRICS_TYPE, generate_latest(self._registry)
        if path == "/status":
            body = msgspec.json.format(msgspec.json.encode(self._snapshot()), indent=2)
            return HTTPStatus.OK, "application/json", body + b"\n"
        if (found := viewer_file(path)) is not None:
            return HTTPStatus.OK, *found
        known = b"try / for the viewer, /livez, /readyz, /metrics or /status\n"
        return HTTPStatus.NOT_FOUND, "text/plain", known


def _probe(good: bool, yes: str, no: str) -> tuple[HTTPStatus, str, bytes]:
    status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    return status, "text/plain", (yes if good else no).encode() + b"\n"


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], pages: _Pages) -> None:
        self.pages, self.bound_to = pages, address[0]
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._open: dict[socket.socket, None] = {}
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: _Request, client_address: object) -> None:
        """Answer in a new thread; never wait, so that a silent client does not block the others."""
        assert isinstance(request, socket.socket)
        with self._lock:
            self._open[request] = None
        self.close_oldest(MOST_REQUESTS)
        super().process_request(request, client_address)

    def shutdown_request(self, request: _Request) -> None:
        """Close a connection; run in its thread."""
        assert isinstance(request, socket.socket)
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def close_oldest(self, most: int) -> None:
        """Close the oldest connections beyond ``most``."""
        with self._lock:
            while len(self._open) > most:
                oldest = next(iter(self._open))
                del self._open[oldest]
                with suppress(OSError):  # its client has gone
                    oldest.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that hang up."""


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    timeout = REQUEST_TIMEOUT_S

    def do_HEAD(self) -> None:
        """Answer with the headers of a page."""
        self.do_GET()

    def do_GET(self) -> None:
        """Answer one page."""
        path, _, query = self.path.partition("?")
        if path not in OPEN_PATHS and not names_this_server(
            self.headers["Host"], self.server.bound_to
        ):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "use an IP address or localhost")
            return None
        if path == RECORDING and OWN_PAGE not in self.headers:
            self.send_error(
                HTTPStatus.FORBIDDEN, "record in the viewer, or with langpose-rt record"
            )
            return None
        if path == RECORDING and query:
            return self._end_recording(query)
        if path in LIVE_PATHS:
            return self._stream(path)
        status, content_type, body = self.server.pages.answer(path)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", VIEWER_POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        return None

    def _stream(self, path: str) -> None:
        """Send pieces until the page leaves, is too slow, or the server stops."""
        pages = self.server.pages
        with pages.feed.viewer_slot(path) as free:
            if not free:
                self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, "too many viewers")
                return
            try:
                answer = pages.live_answer(path)
            except ConfigError as error:
                self.send_error(HTTPStatus.NOT_IMPLEMENTED, str(error))
                return
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, VIEWER_BUFFER_BYTES)
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Cache-Control", "no-store")
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            with closing(answer.pieces):
                for piece in answer.pieces if self.command != "HEAD" else ():
                    self.wfile.write(piece)

    def _end_recording(self, token: str) -> None:
        """End a recording in order; its page gets the rest of the file as the answer it reads."""
        found = self.server.pages.feed.recordings.end(token)
        self.send_response(HTTPStatus.NO_CONTENT if found else HTTPStatus.NOT_FOUND)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def names_this_server(host: str | None, bound_to: str) -> bool:
    """Return True if a Host header names this server: an address, a name without a dot, or none.

    A web page from elsewhere may let its own name point at this machine (DNS rebinding), and would
    then read what the viewer reads. Its name has a dot and is none of ours.

    Args:
        host: The header, with or without a port; browsers always send it.
        bound_to: The address or name the server listens at.
    """
    if host is None:
        return True
    name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    if name == bound_to or "." not in name.rstrip("."):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _reason(error: Exception) -> str:
    return error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
