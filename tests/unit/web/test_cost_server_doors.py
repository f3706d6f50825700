"""The two doors of the cost API with real sockets, real certificates and real clients."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from gpucost.web.app import BASE
from gpucost.web.auth import FrontProxy, is_loopback
from gpucost.web.server import CostServer
from gpucost.web.tls import Authority, Issued, ServingTls, service_hosts
from unit.web.cost_example import ExampleProvider

NOW = datetime.now(UTC)
HOSTS = service_hosts("gpucost", "gpucost-system", "localhost")
USER = {"X-Remote-User": "ada"}


@pytest.fixture(scope="module")
def front_proxy_ca() -> Authority:
    return Authority.create("front-proxy-ca", NOW)


@pytest.fixture
def front_proxy(front_proxy_ca: Authority) -> FrontProxy:
    return FrontProxy.from_config_map(
        {
            "requestheader-client-ca-file": front_proxy_ca.pem.decode(),
            "requestheader-allowed-names": '["front-proxy-client"]',
            "requestheader-username-headers": '["X-Remote-User"]',
        }
    )


@pytest.fixture
async def server(front_proxy: FrontProxy) -> AsyncIterator[CostServer]:
    server = CostServer(ExampleProvider(), api=("127.0.0.1", 0), front_proxy=front_proxy, hosts=HOSTS)
    await server.start()
    yield server
    await server.stop()


def client_context(server: CostServer, certificate: Issued | None, folder: Path) -> ssl.SSLContext:
    """What a client needs that trusts the server's bundle and shows a certificate."""
    context = ssl.create_default_context(cadata=server.ca_bundle.decode())
    if certificate is not None:
        (folder / "client.pem").write_bytes(certificate.pem)
        context.load_cert_chain(folder / "client.pem")
    return context


async def ask(server: CostServer, context: ssl.SSLContext, path: str = BASE, **headers: str) -> tuple[int, str]:
    url = f"https://localhost:{server.api_port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url, ssl=context, headers=headers) as response:
        return response.status, await response.text()


async def test_the_front_proxy_with_a_user_is_let_in(
    server: CostServer, front_proxy_ca: Authority, tmp_path: Path
) -> None:
    context = client_context(server, front_proxy_ca.issue("front-proxy-client", now=NOW), tmp_path)
    assert (await ask(server, context, **USER))[0] == 200


async def test_a_request_without_a_user_is_unauthorized(
    server: CostServer, front_proxy_ca: Authority, tmp_path: Path
) -> None:
    context = client_context(server, front_proxy_ca.issue("front-proxy-client", now=NOW), tmp_path)
    status, text = await ask(server, context)
    assert status == 401
    assert "X-Remote-User" in text


async def test_headers_without_a_certificate_are_not_believed(server: CostServer, tmp_path: Path) -> None:
    status, text = await ask(server, client_context(server, None, tmp_path), **USER)
    assert status == 401
    assert '"kind": "Status"' in text


async def test_another_name_of_the_same_authority_is_unauthorized(
    server: CostServer, front_proxy_ca: Authority, tmp_path: Path
) -> None:
    context = client_context(server, front_proxy_ca.issue("somebody-else", now=NOW), tmp_path)
    status, text = await ask(server, context, **USER)
    assert status == 401
    assert "somebody-else" in text


async def test_a_certificate_of_another_authority_does_not_get_through(server: CostServer, tmp_path: Path) -> None:
    stranger = Authority.create("front-proxy-ca", NOW).issue("front-proxy-client", now=NOW)
    with pytest.raises(aiohttp.ClientError):
        await ask(server, client_context(server, stranger, tmp_path), **USER)


async def test_an_expired_certificate_does_not_get_through(
    server: CostServer, front_proxy_ca: Authority, tmp_path: Path
) -> None:
    old = front_proxy_ca.issue("front-proxy-client", now=NOW - timedelta(days=60), days=1)
    with pytest.raises(aiohttp.ClientError):
        await ask(server, client_context(server, old, tmp_path), **USER)


async def test_probes_need_no_certificate(server: CostServer, tmp_path: Path) -> None:
    assert await ask(server, client_context(server, None, tmp_path), "/healthz") == (200, "ok")


async def test_a_rotated_front_proxy_authority_is_trusted_without_a_restart(server: CostServer, tmp_path: Path) -> None:
    rotated = Authority.create("front-proxy-ca", NOW)
    assert server.tls is not None
    server.tls.trust(rotated.pem.decode())
    context = client_context(server, rotated.issue("front-proxy-client", now=NOW), tmp_path)
    assert (await ask(server, context, **USER))[0] == 200


async def test_the_serving_certificate_is_renewed_before_it_ends_and_the_bundle_stays(
    front_proxy: FrontProxy, front_proxy_ca: Authority, tmp_path: Path
) -> None:
    clock = [NOW]
    tls = ServingTls(hosts=HOSTS, client_ca=front_proxy.client_ca, now=lambda: clock[0])
    bundle = tls.ca_bundle
    clock[0] = NOW + timedelta(days=19)
    assert tls.renew_if_due() is False
    clock[0] = NOW + timedelta(days=21)
    assert tls.renew_if_due() is True
    assert tls.renew_if_due() is False
    assert tls.ca_bundle == bundle


async def test_a_renewed_certificate_reaches_the_next_connection(front_proxy: FrontProxy, tmp_path: Path) -> None:
    clock = [NOW - timedelta(days=25)]
    server = CostServer(
        ExampleProvider(), api=("127.0.0.1", 0), front_proxy=front_proxy, hosts=HOSTS, now=lambda: clock[0]
    )
    await server.start()
    try:
        context = client_context(server, None, tmp_path)
        before = await serial(server, context)
        assert await serial(server, context) == before
        clock[0] = NOW
        assert server.tls is not None
        assert server.tls.renew_if_due()
        assert await serial(server, context) != before
    finally:
        await server.stop()


async def serial(server: CostServer, context: ssl.SSLContext) -> str:
    """Serial number of the certificate that a new connection is shown."""
    _, writer = await asyncio.open_connection("localhost", server.api_port, ssl=context)
    found = writer.get_extra_info("peercert")["serialNumber"]
    writer.close()
    await writer.wait_closed()
    return str(found)


def test_no_key_stays_on_disk(front_proxy: FrontProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ServingTls(hosts=HOSTS, client_ca=front_proxy.client_ca, now=lambda: NOW)
    assert list(tmp_path.iterdir()) == []


async def test_the_plain_door_answers_on_loopback() -> None:
    server = CostServer(ExampleProvider(), loopback=("127.0.0.1", 0))
    await server.start()
    try:
        url = f"http://127.0.0.1:{server.loopback_port}{BASE}"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            assert response.status == 200
    finally:
        await server.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", ""])
async def test_the_plain_door_opens_on_loopback_only(host: str) -> None:
    server = CostServer(ExampleProvider(), loopback=(host, 0))
    with pytest.raises(ValueError, match="loopback only"):
        await server.start()


async def test_a_taken_port_leaves_nothing_open(front_proxy: FrontProxy) -> None:
    first = CostServer(ExampleProvider(), loopback=("127.0.0.1", 0))
    await first.start()
    second = CostServer(
        ExampleProvider(),
        api=("127.0.0.1", 0),
        front_proxy=front_proxy,
        hosts=HOSTS,
        loopback=("127.0.0.1", first.loopback_port),
    )
    try:
        with pytest.raises(OSError, match="address already in use"):
            await second.start()
        with pytest.raises(OSError, match=str(second.api_port)):
            await asyncio.open_connection("127.0.0.1", second.api_port)
    finally:
        await first.stop()


async def test_the_tls_door_needs_a_front_proxy() -> None:
    with pytest.raises(ValueError, match="front proxy"):
        await CostServer(ExampleProvider(), api=("127.0.0.1", 0), hosts=HOSTS).start()


@pytest.mark.parametrize(
    ("data", "remedy"),
    [
        ({}, "--requestheader-client-ca-file"),
        ({"requestheader-client-ca-file": "x", "requestheader-allowed-names": "front"}, "JSON list"),
    ],
)
def test_a_cluster_without_a_usable_front_proxy_is_told_what_is_missing(data: dict[str, str], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        FrontProxy.from_config_map(data)


def test_garbage_instead_of_an_authority_is_refused() -> None:
    with pytest.raises(ValueError, match="not a PEM certificate"):
        ServingTls(hosts=HOSTS, client_ca="garbage", now=lambda: NOW)


def test_loopback_is_told_from_everything_else() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost")))
    assert not any(
        map(is_loopback, ("0.0.0.0", "::", "10.1.1.1", "127.0.0.1.example.com", "localhost.example.com", ""))
    )
