"""The certificate authority of the TLS door, kept in a Secret of the operator's own namespace.

Training pods are told of the authority once, when their Job is made; one that changed with every start of the operator
would silence them all. The API server, which is told again at any time, would not need it.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gpucost.kube import paths
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable
from gpucost.web.tls import Authority

log = logging.getLogger(__name__)

CERTIFICATE, KEY = "ca.crt", "ca.key"


def secret_name(service: str) -> str:
    """Name of the Secret, as the chart's RBAC names it."""
    return f"{service}-authority"


async def lasting_authority(client: KubeClient, namespace: str, name: str) -> Authority:
    """The authority in the Secret, made when there is none; one that lasts until the next start when that fails."""
    now = datetime.now(UTC)
    try:
        return Authority.read(_pem(await _secret(client, namespace, name, now)), now)
    except (ApiError, Unreachable, ValueError, KeyError, TypeError) as error:
        log.warning(
            "Secret %s/%s cannot be used (%s): running Jobs stop reporting when the operator starts anew; "
            "see the chart's RBAC, or delete the Secret to have it made again",
            namespace,
            name,
            error,
        )
        return Authority.create("gpucost", now)


async def _secret(client: KubeClient, namespace: str, name: str, now: datetime) -> Mapping[str, Any]:
    path = paths.secret(namespace, name)
    try:
        return await client.get(path)
    except ApiError as error:
        if error.status != 404:
            raise
    made = _manifest(namespace, name, Authority.create("gpucost", now))
    try:
        return await client.create(paths.secret(namespace), made, manager="gpucost")
    except ApiError as error:
        if error.status != 409:
            raise
        return await client.get(path)


def _manifest(namespace: str, name: str, authority: Authority) -> dict[str, Any]:
    data = {CERTIFICATE: authority.pem, KEY: authority.key_pem}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/part-of": "gpucost"}},
        "type": "Opaque",
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


def _pem(secret: Mapping[str, Any]) -> bytes:
    return b"".join(base64.b64decode(secret["data"][key]) for key in (CERTIFICATE, KEY))
