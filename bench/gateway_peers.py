"""Compares the gateway with nginx `auth_request` before the same upstream: CPU per request and latency, in turn."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import psutil

from bench.harness import ROUND_SECONDS, ROUNDS, Figure
from bench.load import Load, run_load

NGINX_CONF = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
  access_log {directory}/access.log;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  scgi_temp_path {directory}/scgi;
  uwsgi_temp_path {directory}/uwsgi;
  keepalive_requests 1000000;
  proxy_http_version 1.1;
  upstream service {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      auth_request /auth;
      proxy_pass http://service;
      proxy_set_header Connection "";
      proxy_set_header X-Request-Id $request_id;
    }}
    location = /auth {{
      internal;
      proxy_pass http://service/auth;
      proxy_pass_request_body off;
      proxy_set_header Connection "";
      proxy_set_header Content-Length "";
    }}
  }}
}}
"""


def find_nginx() -> str | None:
    """Return the path of nginx, which Debian's package keeps outside of an ordinary user's PATH."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def measure() -> list[Figure]:
    """Measure both in turn; without nginx, say so and return nothing."""
    nginx = find_nginx()
    if nginx is None:
        print(
            "  gateway-peers: nginx is not installed (Debian: apt-get install nginx-light); not measured",
            file=sys.stderr,
        )
        return []
    with tempfile.TemporaryDirectory(prefix="xindun-peers-") as name, contextlib.ExitStack() as ends:
        directory = Path(name)
        upstream, nginx_port, gateway_port = (_free_port() for _ in range(3))
        ends.enter_context(_running([sys.executable, "-m", "bench.peer_servers", "upstream", str(upstream)]))
        config = directory / "nginx.conf"
        config.write_text(NGINX_CONF.format(directory=directory, upstream=upstream, port=nginx_port))
        with (directory / "gateway.log").open("w") as log, (directory / "token").open("w+") as token:
            command = [sys.executable, "-m", "bench.peer_servers", "gateway", str(gateway_port), str(upstream)]
            peers = {
                "nginx": (ends.enter_context(_running([nginx, "-c", str(config)])), nginx_port),
                "gateway": (ends.enter_context(_running([*command, token.name], stdout=log.fileno())), gateway_port),
            }
            for port in (upstream, nginx_port, gateway_port):
                _await_port(port)
            request = (
                f"GET /identity/units?limit=20 HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token.read()}\r\n\r\n"
            )
            for _, port in peers.values():
                _await_success(port, request)
            return _compare(peers, request)


def _compare(peers: dict[str, tuple[psutil.Process, int]], request: str) -> list[Figure]:
    figures: list[Figure] = []
    for connections in (32, 1):
        cpu: dict[str, list[float]] = {name: [] for name in peers}
        latency: dict[str, list[float]] = {name: [] for name in peers}
        for _ in range(ROUNDS):
            for name, (process, port) in peers.items():
                before = process.cpu_times()
                result = run_load(Load("127.0.0.1", port, [request], connections, ROUND_SECONDS))
                after = process.cpu_times()
                if set(result.statuses) != {"200"}:
                    raise RuntimeError(f"answers of {name}: {result.statuses}")
                cpu[name].append((after.user + after.system - before.user - before.system) / result.count * 1e6)
                latency[name].append(result.p50 * 1000)
        where = f"{connections} connection{'s' if connections > 1 else ''}"
        for name in peers:
            figures.append(Figure(f"{name}, {where}, CPU per request", "µs", cpu[name]))
            figures.append(Figure(f"{name}, {where}, p50", "µs", latency[name]))
        of_what, values, goal = ("CPU", cpu, "≤ 2.6") if connections > 1 else ("p50", latency, "≤ 1.8")
        ratio = median(values["gateway"]) / median(values["nginx"])
        figures.append(Figure(f"gateway to nginx, {where}, {of_what}", "×", [ratio], goal))
    return figures


@contextlib.contextmanager
def _running(command: list[str], stdout: int | None = None) -> Iterator[psutil.Process]:
    process = psutil.Popen(command, stdout=stdout)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _await_port(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        subprocess.run(["sleep", "0.05"], check=True)
    raise RuntimeError(f"port {port} does not answer")


def _await_success(port: int, request: str) -> None:
    for _ in range(50):
        if set(run_load(Load("127.0.0.1", port, [request], 1, 0.1)).statuses) == {"200"}:
            return
    raise RuntimeError(f"port {port} does not answer 200")
