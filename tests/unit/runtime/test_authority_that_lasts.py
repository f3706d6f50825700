"""The authority that running Jobs trust is the same after a restart, and nothing stops where it cannot be kept."""

from __future__ import annotations

import base64
import ssl
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gpucost.kube.errors import ApiError, Unreachable
from gpucost.runtime.authority import lasting_authority
from gpucost.web.tls import Authority, ServingTls

PATH = "/api/v1/namespaces/gpucost-system/secrets/gpucost-authority"


class Secrets:
    """One namespace's Secrets; `refusal` answers everything."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.kept: dict[str, dict[str, Any]] = {}
        self.refusal = refusal

    async def get(self, path: str) -> dict[str, Any]:
        if self.refusal:
            raise self.refusal
        if path not in self.kept:
            raise ApiError(404, reason="NotFound")
        return self.kept[path]

    async def create(self, path: str, body: dict[str, Any], **_: object) -> dict[str, Any]:
        if f"{path}/{body['metadata']['name']}" in self.kept:
            raise ApiError(409, reason="AlreadyExists")
        self.kept[f"{path}/{body['metadata']['name']}"] = body
        return body


async def authority(secrets: Any) -> Authority:
    return await lasting_authority(secrets, "gpucost-system", "gpucost-authority")


async def test_a_restart_finds_the_authority_of_before() -> None:
    secrets = Secrets()
    first, second = await authority(secrets), await authority(secrets)
    assert first.pem == second.pem
    issued = second.issue("gpucost", hosts=["localhost"], now=datetime.now(UTC))
    issued.certificate.verify_directly_issued_by(first.certificate)


async def test_a_door_with_it_is_trusted_and_asks_nobody_for_a_certificate() -> None:
    kept = await authority(Secrets())
    tls = ServingTls(hosts=["localhost"], client_ca="", now=lambda: datetime.now(UTC), authority=kept)
    assert tls.ca_bundle == kept.pem
    assert tls.context.verify_mode == ssl.CERT_NONE


async def test_of_two_that_make_it_at_once_one_is_right() -> None:
    secrets = Secrets()
    first = await authority(secrets)

    class Late(Secrets):
        asked = 0

        async def get(self, path: str) -> dict[str, Any]:
            self.asked += 1
            if self.asked == 1:
                raise ApiError(404, reason="NotFound")
            return await super().get(path)

    late = Late()
    late.kept = secrets.kept
    assert (await authority(late)).pem == first.pem


@pytest.mark.parametrize("refusal", [ApiError(403, reason="Forbidden"), Unreachable("gone")])
async def test_without_the_right_there_is_one_until_the_next_start(
    refusal: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = Secrets(refusal)
    assert (await authority(secrets)).pem != (await authority(secrets)).pem
    assert "gpucost-system/gpucost-authority" in caplog.text


@pytest.mark.parametrize("spoil", ["not base64!", base64.b64encode(b"no PEM").decode(), None])
async def test_a_secret_that_was_spoiled_is_told_and_not_used(spoil: str | None, caplog: Any) -> None:
    secrets = Secrets()
    before = await authority(secrets)
    secrets.kept[PATH]["data"] = None if spoil is None else {"ca.crt": spoil, "ca.key": spoil}
    assert (await authority(secrets)).pem != before.pem
    assert "delete the Secret" in caplog.text


def test_one_that_ends_soon_or_whose_key_is_another_ones_is_refused() -> None:
    now = datetime.now(UTC)
    old, other = Authority.create("a", now - timedelta(days=3640)), Authority.create("b", now)
    with pytest.raises(ValueError, match="it ends"):
        Authority.read(old.pem + old.key_pem, now)
    with pytest.raises(ValueError, match="key"):
        Authority.read(old.pem + other.key_pem, now)
