"""`gpucost agent`: the flags of the node agent. What it needs is imported only when it runs."""

from __future__ import annotations

import math
import os
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

import click

from gpucost.agent.settings import KUBELET_SOCKET, AgentSettings

F = TypeVar("F", bound=Callable[..., Any])

_PREFIX = "GPUCOST_AGENT_"


def _address(_: click.Context, __: click.Parameter, value: str) -> tuple[str, int]:
    host, _colon, port = value.rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 65536):
        raise click.BadParameter(f"{value!r} must be HOST:PORT, such as 0.0.0.0:9400 or [::]:9400")
    return host.strip("[]"), int(port)


def _seconds(_: click.Context, __: click.Parameter, value: float) -> float:
    if not (math.isfinite(value) and 0.2 <= value <= 300):
        raise click.BadParameter(f"{value:g} must be between 0.2 and 300 seconds")
    return value


def _option(name: str, **attributes: Any) -> Callable[[F], F]:
    variable = _PREFIX + name.upper().replace("-", "_")
    return click.option(f"--{name}", envvar=variable, show_envvar=True, **attributes)


@click.command(
    context_settings={"help_option_names": ["-h", "--help"]},
    short_help="Export what this node's GPUs do, and for which pods.",
)
@_option(
    "listen",
    default="0.0.0.0:9400",
    show_default=True,
    callback=_address,
    metavar="HOST:PORT",
    help="Address of /metrics, /healthz and /readyz.",
)
@_option(
    "period",
    default=10.0,
    show_default=True,
    type=float,
    callback=_seconds,
    metavar="SECONDS",
    help="Time between readings, over which utilisation is averaged.",
)
@_option(
    "node-name", default="", metavar="NAME", help="Value of the label Hostname.  [default: NODE_NAME, else the host]"
)
@_option(
    "kubelet-socket",
    default=KUBELET_SOCKET,
    show_default=True,
    metavar="PATH",
    help="PodResources socket of the kubelet; empty: series have no pods.",
)
@_option(
    "pod-logs",
    default="",
    metavar="FOLDER",
    help="The kubelet's log folder, usually /var/log/pods, for the label pod_uid; empty: without it.",
)
@_option("wait", is_flag=True, help="Wait for a driver instead of ending with 2 without one.")
@click.option("--once", is_flag=True, help="Print the metrics once, after a second, and end.")
@_option(
    "log-format", default="text", show_default=True, type=click.Choice(("text", "json")), help="Format of the log."
)
@_option(
    "log-level",
    default="INFO",
    show_default=True,
    type=click.Choice(("DEBUG", "INFO", "WARNING", "ERROR")),
    help="Lowest level that is logged.",
)
def agent(*, once: bool, log_format: str, log_level: str, node_name: str, **rest: Any) -> None:
    """Export what the GPUs of this node do, and for which pods, under the names of dcgm-exporter.

    For nodes without dcgm-exporter. It reads NVML and asks the kubelet which container holds which GPU, MIG instance or
    replica.

    \b
    Examples:
      gpucost agent --once                        what the GPUs do now, for people
      gpucost agent --once --kubelet-socket ''    the same without a kubelet
      gpucost agent --wait                        as the chart's DaemonSet runs it
      gpucost agent --listen 127.0.0.1:9400 --period 5

    Exit status: 0 when told to stop, 2 for wrong use or without a driver.
    """
    import_module("gpucost.runtime.logs").configure(log_format=log_format, level=log_level)
    settings = AgentSettings(node_name=node_name or os.environ.get("NODE_NAME") or socket.gethostname(), **rest)
    sys.exit(import_module("gpucost.agent.process").main(settings, once=once))
