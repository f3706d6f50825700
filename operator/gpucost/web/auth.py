"""Who may ask: the API server on behalf of an authenticated user, or somebody on this machine.

An aggregated API server trusts the `X-Remote-*` headers only from a client whose certificate the front-proxy CA signed
and whose common name is allowed; the cluster publishes both in the ConfigMap `kube-system/extension-apiserver-
authentication`. Authorization has happened before: the API server asks RBAC and only then passes the request on.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web

from gpucost.web.status import Refused


class Authenticator(Protocol):
    """Lets a request in or raises `Refused`."""

    def check(self, request: web.Request) -> None:
        """Raise `Refused` for a request that must not be answered."""
        ...


@dataclass(frozen=True, slots=True)
class FrontProxy:
    """What the cluster says about its front proxy."""

    client_ca: str
    """PEM certificates."""
    allowed_names: tuple[str, ...] = ()
    """Allowed common names; empty allows any certificate of the CA."""
    username_headers: tuple[str, ...] = ("X-Remote-User",)

    @classmethod
    def from_config_map(cls, data: Mapping[str, str]) -> FrontProxy:
        """Read the `data` of ConfigMap kube-system/extension-apiserver-authentication.

        Raises `ValueError` when the cluster has no front proxy, which means that aggregation is off.
        """
        authority = data.get("requestheader-client-ca-file", "").strip()
        if not authority:
            raise ValueError(
                "ConfigMap kube-system/extension-apiserver-authentication has no requestheader-client-ca-file: "
                "start kube-apiserver with --requestheader-client-ca-file to use aggregated APIs"
            )
        return cls(
            client_ca=authority + "\n",
            allowed_names=_names(data, "requestheader-allowed-names"),
            username_headers=_names(data, "requestheader-username-headers") or ("X-Remote-User",),
        )

    def check(self, request: web.Request) -> None:
        """Only the front proxy, and only with a user: 401 for anybody else."""
        certificate = request.transport and request.transport.get_extra_info("peercert")
        if not certificate:
            raise Refused(
                401, "the cost API answers the API server only; use `kubectl cost` or `kubectl get allocations`"
            )
        name = common_name(certificate)
        if self.allowed_names and name not in self.allowed_names:
            raise Refused(401, f"client certificate of {name!r} is not one of the API server's front proxy")
        if not any(request.headers.get(header) for header in self.username_headers):
            raise Refused(401, f"request without a user in {' or '.join(self.username_headers)}")


def common_name(certificate: Mapping[str, Any]) -> str:
    """Common name in a certificate as `ssl.SSLSocket.getpeercert` describes it."""
    return next((value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"), "")


def _names(data: Mapping[str, str], key: str) -> tuple[str, ...]:
    try:
        names = json.loads(data.get(key) or "[]")
    except json.JSONDecodeError:
        raise ValueError(
            f"ConfigMap kube-system/extension-apiserver-authentication: {key} is not a JSON list"
        ) from None
    return tuple(str(name) for name in names)


class Nobody:
    """Lets nobody in: there is no front proxy to say who asks."""

    def check(self, request: web.Request) -> None:
        """401 for every request."""
        raise Refused(401, f"{request.path}: the aggregated cost API is off in this cluster; use --api-url")


class LoopbackOnly:
    """Lets in what was addressed to loopback by name or number.

    A web page can make a browser on this machine send requests here under a host name of its own (DNS rebinding); such
    a request still names that host.
    """

    def check(self, request: web.Request) -> None:
        """403 for a request whose Host is not loopback."""
        host = request.host.rpartition(":")[0] if request.host.rpartition(":")[2].isdigit() else request.host
        if not is_loopback(host):
            raise Refused(403, f"host {host!r}: this address answers requests to 127.0.0.1, [::1] and localhost only")


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine and nothing else."""
    bare = host.strip("[]").lower()
    if bare == "localhost":
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False
