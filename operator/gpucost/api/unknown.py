"""Fields that no kind has: the API server refuses them at `kubectl apply`, a file that is only read is checked here."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from gpucost.api.crds import object_schema
from gpucost.api.kinds import KINDS
from gpucost.api.schema import Schema
from gpucost.core.training.validate import Problem


def unknown_fields(body: Mapping[str, Any]) -> list[Problem]:
    """Fields of the specification that its kind does not have, each with the one that was probably meant."""
    return list(_of(body.get("spec"), _spec_of(str(body.get("kind"))), "spec"))


@lru_cache
def _spec_of(kind: str) -> Schema:
    found: Schema = next(object_schema(one)["properties"]["spec"] for one in KINDS if one.name == kind)
    return found


def _of(value: object, schema: Schema, path: str) -> Iterator[Problem]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _of(item, schema.get("items", {}), f"{path}[{index}]")
    if not isinstance(value, Mapping):
        return
    fields = schema.get("properties", {})
    is_open = not fields or bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    for name, part in value.items():
        if name in fields:
            yield from _of(part, fields[name], f"{path}.{name}")
        elif not is_open:
            near = difflib.get_close_matches(str(name), fields, n=1)
            yield Problem(f"{path}.{name}", f"no such field{f'; did you mean {near[0]}?' if near else ''}")
