"""Admission webhooks of a program that runs as a process beside the cluster, reached by URL on loopback.

A controller's manifests name a Service in the cluster; the API server here has none to reach. The same rules with a URL
and a certificate made for it ask the same program. Only namespaces that ask for a program (`JOINED`) are asked about:
otherwise nobody could create a pod any more once the program has ended.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from local.objects import Manifest
from local.programs import program

JOINED = "gpucost.dev/test-controllers"
HOST = "127.0.0.1"


def certificate(folder: Path) -> bytes:
    """Write `tls.crt` and `tls.key` for loopback into a folder; the result is the certificate to trust (PEM)."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "webhooks")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address(HOST))
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for file, content in (("tls.crt", signed), ("tls.key", private)):
        (folder / file).touch(mode=0o600)
        (folder / file).write_bytes(content)
    return signed


def documents(name: str) -> list[Manifest]:
    """All manifests that the build has put beside a program; raises LookupError with the remedy."""
    folder = program(name).resolve().parent / "data"
    if not folder.is_dir():
        raise LookupError(f"no manifests of {name} in {folder}: run `make tools`")
    texts = (path.read_text() for path in sorted(folder.glob("*.yaml")))
    return [found for text in texts for found in yaml.safe_load_all(text) if isinstance(found, dict)]


def definitions(name: str) -> list[Manifest]:
    """The custom resource definitions of a program."""
    return [one for one in documents(name) if one.get("kind") == "CustomResourceDefinition"]


def configurations(name: str, port: int, trusted: bytes, groups: Collection[str]) -> list[Manifest]:
    """The webhook configurations of a program for the API groups given, by URL."""
    kinds = {"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}
    found = [one for one in documents(name) if one.get("kind") in kinds]
    for one in found:
        one["metadata"] = {"name": f"{name}-{one['kind'].removesuffix('WebhookConfiguration').lower()}"}
        one["webhooks"] = list(_by_url(one["webhooks"], port, trusted, groups))
    return found


def _by_url(webhooks: list[Manifest], port: int, trusted: bytes, groups: Collection[str]) -> Iterator[Manifest]:
    for webhook in webhooks:
        if not {group for rule in webhook["rules"] for group in rule["apiGroups"]} <= set(groups):
            continue
        url = f"https://{HOST}:{port}{webhook['clientConfig']['service']['path']}"
        selector = {"matchLabels": {JOINED: "true"}}
        client = {"url": url, "caBundle": base64.b64encode(trusted).decode()}
        yield {**webhook, "clientConfig": client, "namespaceSelector": selector}
