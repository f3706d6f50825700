"""The scenario as it is written: typed records that a JSON decoder fills, and nothing else.

msgspec reads JSON into records an order of magnitude faster than the standard library reads it into dictionaries. The
file is first cut into its items, and each is read when its turn comes, so that memory holds one pod at a time. Decoding
stops at the first value of a wrong type; `offline.blame` finds them all.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

Number = str | int | float | None


class Span(msgspec.Struct, gc=False):
    """`start` and `end` as written; without an end it lasts."""

    start: str
    end: str | None = None


class Price(msgspec.Struct, gc=False, rename={"since": "from"}):
    """One step of a node's price; who says so and for which capacity type is for the reader of the file."""

    since: str
    hourly: str


class Gpu(msgspec.Struct, gc=False, rename={"memory_gib": "memoryGiB", "replicas": "replicasPerGpu"}):
    """What GPUs a machine has."""

    model: str | None = None
    count: int | float | None = None
    memory_gib: int | float | None = None
    replicas: int | None = None


class Node(msgspec.Struct, gc=False):
    """One node."""

    uid: str
    start: str
    end: str | None = None
    name: str | None = None
    labels: dict[str, str] | None = None
    capacity: dict[str, str] | None = None
    gpu: Gpu | None = None
    prices: list[Price] | None = None


class Step(msgspec.Struct, gc=False, rename={"since": "from"}):
    """One step of a usage; a null value is unknown from then on."""

    since: str
    value: Number = None


Series = str | int | float | list[Step] | None


class Usage(msgspec.Struct, gc=False, rename={"gpu_active": "gpuActive"}):
    """What a pod used; absent is unknown."""

    cpu: Series = None
    memory: Series = None
    gpu_active: Series = None


class Pod(msgspec.Struct, gc=False):
    """One pod."""

    uid: str
    name: str
    namespace: str
    node: str
    intervals: list[Span]
    workload: str | None = None
    labels: dict[str, str] | None = None
    requests: dict[str, str] | None = None
    usage: Usage | None = None


class Scenario(msgspec.Struct, gc=False):
    """The whole file, cut into items that are not read yet; None stands for one that is known to be faulty."""

    nodes: Sequence[msgspec.Raw | bytes | None]
    pods: Sequence[msgspec.Raw | bytes | None]
    currency: str = "USD"
    window: Span | None = None


class _Cut(msgspec.Struct, gc=False):
    nodes: list[msgspec.Raw]
    pods: list[msgspec.Raw]
    currency: str = "USD"
    window: Span | None = None


_CUTTER = msgspec.json.Decoder(_Cut)

node_of = msgspec.json.Decoder(Node).decode
"""Reads a node; raises `msgspec.ValidationError` at the first fault, as `pod_of` does."""

pod_of = msgspec.json.Decoder(Pod).decode


def cut(data: bytes) -> Scenario:
    """Cut a file into its items; raises `msgspec.DecodeError`, or its kind `ValidationError`, at the first fault."""
    found = _CUTTER.decode(data)
    return Scenario(found.nodes, found.pods, found.currency, found.window)
