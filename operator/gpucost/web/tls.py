"""Certificates of the cost API, made by the operator itself.

The API server trusts the one authority that the APIService names, so nobody has to install a certificate manager first.
The authority lives as long as the process; its serving certificate is short-lived and replaced in the running server
well before it ends. A restart makes a new authority, and the runtime writes its bundle into the APIService again.
"""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_AUTHORITY_DAYS = 3650
_SERVING_DAYS = 30
_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority with its key, in memory only."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, name: str, now: datetime) -> Authority:
        """A new authority, valid for ten years; its certificates name it by the key, so restarts do not collide."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(name), key, now, timedelta(days=_AUTHORITY_DAYS)).issuer_name(_name(name))
        usage = _usage(key_cert_sign=True, crl_sign=True)
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def read(cls, pem: bytes, now: datetime) -> Authority:
        """An authority from its certificate and key, PEM; `ValueError` when they cannot be used."""
        certificate, key = x509.load_pem_x509_certificate(pem), serialization.load_pem_private_key(pem, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise ValueError("its key is not the certificate's")
        if certificate.not_valid_after_utc - now < timedelta(days=_SERVING_DAYS):
            raise ValueError(f"it ends {certificate.not_valid_after_utc:%Y-%m-%d}")
        return cls(certificate, key)

    @property
    def pem(self) -> bytes:
        """The certificate, PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key, PEM."""
        return _key_pem(self.key)

    def issue(self, name: str, *, hosts: Sequence[str] = (), now: datetime, days: int = _SERVING_DAYS) -> Issued:
        """A certificate for a server (`hosts` are DNS names and addresses) and for a client of that common name."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(name), key, now, timedelta(days=days)).issuer_name(self.certificate.subject)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(digital_signature=True), critical=True)
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(issuer, critical=False)
        if hosts:
            names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        return Issued(builder.sign(self.key, hashes.SHA256()), key)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def not_after(self) -> datetime:
        """When it ends."""
        return self.certificate.not_valid_after_utc

    @property
    def pem(self) -> bytes:
        """Certificate and key, PEM, as `load_cert_chain` reads them."""
        return self.certificate.public_bytes(serialization.Encoding.PEM) + _key_pem(self.key)

    def load_into(self, context: ssl.SSLContext) -> None:
        """Use it for new connections; the key is on disk only for the moment in which OpenSSL reads it."""
        with tempfile.TemporaryDirectory(prefix="gpucost-tls-") as folder:
            path = Path(folder, "serving.pem")
            path.touch(mode=0o600)
            path.write_bytes(self.pem)
            context.load_cert_chain(path)


@dataclass
class ServingTls:
    """TLS of the server door: its certificate, the clients it asks about, renewal.

    `client_ca` is the front proxy's authority (PEM), empty where there is none. A client without a certificate gets as
    far as a 401; one whose certificate another authority signed fails the handshake. `authority` is one that outlives
    the process; left out, there is a new one.
    """

    hosts: Sequence[str]
    client_ca: str
    now: Callable[[], datetime]
    authority: Authority | None = None
    context: ssl.SSLContext = field(init=False)
    ca_bundle: bytes = field(init=False)
    """PEM of the authority, for `spec.caBundle` of the APIService."""

    def __post_init__(self) -> None:
        self._authority = self.authority or Authority.create("gpucost cost API", self.now())
        self.ca_bundle = self._authority.pem
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        if self.client_ca:
            self.context.verify_mode = ssl.CERT_OPTIONAL
            self.trust(self.client_ca)
        self._renew()

    def trust(self, client_ca: str) -> None:
        """Accept client certificates of one more authority, such as after the front proxy's was rotated."""
        try:
            self.context.load_verify_locations(cadata=client_ca)
        except (ssl.SSLError, ValueError) as error:
            raise ValueError(f"the front proxy's certificate authority is not a PEM certificate: {error}") from None

    def renew_if_due(self) -> bool:
        """Replace the certificate in the last third of its life; true when it was. Call it now and then."""
        if self._serving.not_after - self.now() > timedelta(days=_SERVING_DAYS / 3):
            return False
        self._renew()
        return True

    def _renew(self) -> None:
        self._serving = self._authority.issue(self.hosts[0], hosts=self.hosts, now=self.now())
        self._serving.load_into(self.context)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def service_hosts(service: str, namespace: str, *extra: str) -> tuple[str, ...]:
    """Names by which the API server calls a Service: `NAME.NAMESPACE.svc` and its longer and shorter forms."""
    name = f"{service}.{namespace}.svc"
    return (name, f"{name}.cluster.local", f"{service}.{namespace}", *extra)


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + life)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
