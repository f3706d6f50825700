"""Which container was given which devices, asked from the kubelet over its local socket.

The kubelet restarts, and then makes its socket anew. A connection is therefore kept only while it works; each failure
closes it, and the next reading opens another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from gpucost.agent.messages import LIST, Request, Response

_TIMEOUT_SECONDS = 5.0
_LARGEST_ANSWER = 16 << 20
_OPTIONS = (("grpc.max_receive_message_length", _LARGEST_ANSWER), ("grpc.enable_http_proxy", 0))


class KubeletDown(Exception):
    """The kubelet did not answer, or not with a list; `code` is gRPC's name of the error, the text one line."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Claim:
    """A device of a ResourceClaim (DRA)."""

    name: str
    namespace: str
    driver: str
    pool: str
    device: str
    cdi: tuple[str, ...] = ()
    """Names under which the container runtime knows it."""


@dataclass(frozen=True, slots=True)
class Container:
    """A container with what it was given: `(resource, device id)` from device plugins, claims from DRA drivers."""

    namespace: str
    pod: str
    name: str
    devices: tuple[tuple[str, str], ...] = ()
    claims: tuple[Claim, ...] = ()


class Kubelet:
    """Client of one kubelet's PodResources socket."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._channel: Any = None

    async def containers(self) -> list[Container]:
        """Containers that hold devices. Raises `KubeletDown`."""
        try:
            self._look()
            return list(containers_of(Response.FromString(await self._list())))
        except grpc.aio.AioRpcError as error:
            await self.close()
            raise KubeletDown(error.code().name, f"{self._socket}: {_first_line(error.details())}") from None
        except KubeletDown:
            await self.close()
            raise
        except DecodeError:
            await self.close()
            raise KubeletDown("NOT_A_LIST", f"{self._socket}: the answer is no list of PodResources v1") from None

    def _look(self) -> None:
        """A socket that is missing is told apart: mostly a path that is not mounted."""
        if not Path(self._socket).exists():
            raise KubeletDown("NO_SOCKET", f"{self._socket} is not there")

    async def _list(self) -> bytes:
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(f"unix:{self._socket}", options=_OPTIONS)
        call = self._channel.unary_unary(LIST, request_serializer=Request.SerializeToString)  # bytes: decoded above
        answer: bytes = await call(Request(), timeout=_TIMEOUT_SECONDS)
        return answer

    async def close(self) -> None:
        """Close the connection, if there is one."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()


def containers_of(response: Any) -> Iterator[Container]:
    """Containers of an answer that hold any device."""
    for pod in response.pod_resources:
        for each in pod.containers:
            devices = tuple((group.resource_name, name) for group in each.devices for name in group.device_ids)
            claims = tuple(_claims(each.dynamic_resources))
            if devices or claims:
                yield Container(pod.namespace, pod.name, each.name, devices, claims)


def _claims(dynamic: Any) -> Iterator[Claim]:
    for claim in dynamic:
        for each in claim.claim_resources:
            cdi = tuple(device.name for device in each.cdi_devices)
            yield Claim(
                claim.claim_name, claim.claim_namespace, each.driver_name, each.pool_name, each.device_name, cdi
            )


def _first_line(text: str | None) -> str:
    return (text or "no answer").splitlines()[0][:200]
