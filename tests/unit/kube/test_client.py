"""Requests survive what passes and report what does not."""

import kopf
import pytest

import gpucost.kube.client as module
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable
from support.faulty_apiserver import FaultyApiServer, answer, cut

OK = answer(200, {"kind": "Thing"})


async def call(server, method="GET", **options):
    client = KubeClient(login_with=server.login)
    try:
        return await client.request(method, "/thing", **options)
    finally:
        await client.close()


async def test_server_errors_and_broken_connections_are_tried_again():
    async with FaultyApiServer([answer(503, {}), cut, OK]) as server:
        assert await call(server) == {"kind": "Thing"}
        assert len(server.requests) == 3


async def test_the_servers_wish_to_wait_is_obeyed():
    async with FaultyApiServer([answer(429, {}, Retry_After="0.3"), OK]) as server:
        assert await call(server) == {"kind": "Thing"}


async def test_a_refusal_is_not_repeated_and_names_the_fields():
    causes = [{"field": "spec.template", "message": "Required value"}]
    refusal = {"reason": "Invalid", "message": "Job is invalid", "details": {"causes": causes}}
    async with FaultyApiServer([answer(422, refusal)]) as server:
        with pytest.raises(ApiError) as caught:
            await call(server, "POST", body={})
        assert caught.value.causes == ("spec.template: Required value",)
        assert len(server.requests) == 1


async def test_an_expired_token_is_read_again():
    async with FaultyApiServer([answer(401, {"message": "expired"}), OK]) as server:
        assert await call(server) == {"kind": "Thing"}
        assert len(server.requests) == 2


async def test_a_login_that_stays_refused_is_an_error():
    async with FaultyApiServer([answer(401, {"reason": "Unauthorized"})]) as server:
        with pytest.raises(ApiError, match="401 Unauthorized"):
            await call(server)


async def test_a_dry_run_marks_every_write_and_no_read():
    async with FaultyApiServer([OK]) as server:
        client = KubeClient(login_with=server.login, dry_run=True)
        await client.get("/thing")
        await client.create("/thing", {}, manager="m")
        await client.merge("/thing", {}, manager="m")
        await client.close()
        assert [r.query.get("dryRun") for r in server.requests] == [None, "All", "All"]


async def test_nobody_there_is_unreachable(monkeypatch, unused_tcp_port):
    monkeypatch.setattr(module, "_ATTEMPTS", 2)
    info = kopf.ConnectionInfo(server=f"http://127.0.0.1:{unused_tcp_port}", token="t")
    client = KubeClient(login_with=lambda: info)
    with pytest.raises(Unreachable, match="/thing"):
        await client.get("/thing")
    await client.close()
