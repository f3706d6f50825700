"""The certificates with which the API server proves itself to an aggregated API.

They come from an authority of their own: were it the one that signs client certificates, every client could claim
to be the API server and speak in anybody's name.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLIENT = "front-proxy-client"


def write(folder: Path) -> dict[str, str]:
    """Write authority and client certificate; the result are the API server's flags that use them."""
    folder.mkdir(mode=0o700)
    authority_key, client_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("front-proxy-ca", authority_key, "front-proxy-ca", authority_key, ca=True)
    client = _certificate(CLIENT, client_key, "front-proxy-ca", authority_key, ca=False)
    _store(folder / "ca.crt", authority.public_bytes(serialization.Encoding.PEM))
    _store(folder / "client.crt", client.public_bytes(serialization.Encoding.PEM))
    _store(folder / "client.key", _pem(client_key))
    return {
        "requestheader-client-ca-file": str(folder / "ca.crt"),
        "requestheader-allowed-names": CLIENT,
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": str(folder / "client.crt"),
        "proxy-client-key-file": str(folder / "client.key"),
    }


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey, *, ca: bool
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _store(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
