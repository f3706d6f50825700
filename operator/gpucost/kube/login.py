"""Credentials for the API server, read again whenever they may have rotated.

kopf's own readers are used (service account, kubeconfig with certificates or tokens) because importing the official
client costs 50 MiB, which the operator does not have to spare.
"""

from __future__ import annotations

import os
from pathlib import Path

import kopf
import yaml

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class LoginError(Exception):
    """No usable credentials; the message names the remedy."""


def in_cluster() -> bool:
    """Whether a service account is mounted and no kubeconfig was asked for."""
    return not os.environ.get("KUBECONFIG") and (_SERVICE_ACCOUNT / "token").exists()


def login(settings: kopf.OperatorSettings | None = None) -> kopf.ConnectionInfo:
    """Read credentials from the service account or the kubeconfig.

    Raises `LoginError` with one line that says what is missing.
    """
    settings = settings or kopf.OperatorSettings()
    info = kopf.login_with_service_account(settings=settings) if in_cluster() else _from_kubeconfig(settings)
    if info is None:
        raise LoginError("no credentials: set KUBECONFIG, create ~/.kube/config, or run inside a cluster")
    return info


def _from_kubeconfig(settings: kopf.OperatorSettings) -> kopf.ConnectionInfo | None:
    try:
        info = kopf.login_with_kubeconfig(settings=settings)
    except FileNotFoundError as error:
        raise LoginError(f"kubeconfig not found: {error.filename}; set KUBECONFIG to an existing file") from None
    except (KeyError, yaml.YAMLError, ValueError, kopf.LoginError) as error:
        raise LoginError(f"kubeconfig is not usable: {error}") from None
    if info is not None and not (info.token or info.username or info.certificate_path or info.certificate_data):
        raise LoginError(
            "the kubeconfig's user has neither token nor client certificate (exec plugins are not supported by the "
            "operator): use the service account of the chart, for example with `kubectl create token gpucost`"
        )
    return info
