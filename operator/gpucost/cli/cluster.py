"""The way to the operator through the API server, with the official client: kubeconfig, exec plugins, proxies.

Only its untyped parts are used, for raw GETs; the typed ones are large and slow to import.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import urllib3
from kubernetes.client.configuration import Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.client.rest import RESTClientObject
from kubernetes.config.config_exception import ConfigException

from gpucost.cli.doors import CONNECT_SECONDS, READ_SECONDS, one_line, parsed, reason, url
from gpucost.cli.failures import Failure

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_kubeconfig: Any = import_module("kubernetes.config.kube_config")
_incluster: Any = import_module("kubernetes.config.incluster_config")


class ClusterDoor:
    """Through the API server, which authenticates the caller and asks RBAC."""

    has_cluster = True

    def __init__(self, kubeconfig: str | None, context: str | None) -> None:
        """Read the kubeconfig, as kubectl does; inside a pod its service account serves. Raises `Failure`."""
        configuration = Configuration()
        self.namespace: str | None = _load(configuration, kubeconfig, context)
        configuration.retries = False
        self._configuration = configuration
        self._client: Any = RESTClientObject(configuration)

    def get(self, path: str, params: Mapping[str, str]) -> Any:
        """GET a path of the API server."""
        host = self._configuration.host
        token = self._configuration.auth_settings().get("BearerToken")
        headers = {"Accept": "application/json"} | ({"Authorization": token["value"]} if token else {})
        try:
            response = self._client.request(
                "GET", url(host, path, params), headers, _request_timeout=(CONNECT_SECONDS, READ_SECONDS)
            )
            data = response.read()
        except urllib3.exceptions.HTTPError as error:
            raise Failure(f"cannot reach the cluster at {host}: {reason(error)}; see --context") from None
        except ApiException as error:
            raise Failure(f"cannot reach the cluster at {host}: {one_line(str(error.reason))}") from None
        return parsed(response.status, data, host)

    def apply(self, path: str, body: Mapping[str, Any], *, manager: str) -> None:
        """Server-side apply of one object. Raises `Failure` with the API server's own words."""
        self._patch(path, json.dumps(body), manager, "application/apply-patch+yaml")

    def merge(self, path: str, body: Mapping[str, Any], *, manager: str) -> None:
        """Merge-patch one object. Raises `Failure` with the API server's own words."""
        self._patch(path, body, manager, "application/merge-patch+json")

    def _patch(self, path: str, body: str | Mapping[str, Any], manager: str, content_type: str) -> None:
        """The client itself turns into JSON what goes as JSON."""
        host = self._configuration.host
        token = self._configuration.auth_settings().get("BearerToken")
        headers = {"Content-Type": content_type} | ({"Authorization": token["value"]} if token else {})
        try:
            response = self._client.request(
                "PATCH",
                url(host, path, {"fieldManager": manager}),
                headers,
                body=body,
                _request_timeout=(CONNECT_SECONDS, READ_SECONDS),
            )
            status, data = response.status, response.read()
        except urllib3.exceptions.HTTPError as error:
            raise Failure(f"cannot reach the cluster at {host}: {reason(error)}; see --context") from None
        except ApiException as error:
            raise Failure(f"cannot reach the cluster at {host}: {one_line(str(error.reason))}") from None
        if status >= 300:
            raise Failure(_refusal(status, data))


def _refusal(status: int, data: bytes) -> str:
    """Why the API server did not take an object, in its own words."""
    try:
        message = one_line(str(json.loads(data)["message"]))
    except (ValueError, KeyError, TypeError):
        message = f"the API server answered {status}"
    if status == 404:
        message += "; are the CustomResourceDefinitions installed (`gpucost crds`)?"
    if status == 409:
        message += "; to take the fields over: kubectl apply --server-side --force-conflicts -f MANIFEST"
    return message


def _load(configuration: Any, kubeconfig: str | None, context: str | None) -> str:
    """Fill a configuration; the answer is the namespace of the context."""
    if kubeconfig is None and context is None and (namespace := _in_cluster(configuration)):
        return namespace
    try:
        contexts, active = _kubeconfig.list_kube_config_contexts(kubeconfig)
        _kubeconfig.load_kube_config(kubeconfig, context, client_configuration=configuration, persist_config=False)
    except (ConfigException, OSError, ValueError, KeyError) as error:
        problem = one_line(str(error)).rstrip(".")
        raise Failure(f"no usable kubeconfig: {problem}; set --kubeconfig, --context or KUBECONFIG") from None
    chosen = next((found for found in contexts if found["name"] == context), active)
    return chosen["context"].get("namespace") or "default"


def _in_cluster(configuration: Any) -> str | None:
    """Use the service account of this pod where there is one and no kubeconfig; the answer is its namespace."""
    if os.environ.get("KUBECONFIG") or Path("~/.kube/config").expanduser().exists():
        return None
    try:
        _incluster.load_incluster_config(client_configuration=configuration)
        return (_SERVICE_ACCOUNT / "namespace").read_text().strip()
    except (ConfigException, OSError):
        return None
