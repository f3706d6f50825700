"""From pydantic's JSON Schema to the structural OpenAPI v3 schema that a CustomResourceDefinition may hold.

A structural schema is much narrower than JSON Schema: no references, no alternatives, no titles, one type everywhere.
What cannot be said in it raises at generation time, so that a model never means more than its CRD checks.
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

_REFUSED = ("oneOf", "allOf", "not", "prefixItems", "patternProperties", "if", "$dynamicRef")
_DROPPED = ("title", "$defs", "discriminator", "examples", "readOnly")
_INT_OR_STRING = {frozenset({"integer", "string"}), frozenset({"string", "integer"})}


class NotStructural(ValueError):
    """A model says something that a structural schema cannot."""


def structural(model: type[BaseModel], *, defaults: bool = True) -> Schema:
    """The structural schema of a model; without `defaults` for a status, where the server must not fill anything in.

    Raises `NotStructural` with the path of what cannot be expressed.
    """
    raw = model.model_json_schema(by_alias=True)
    return _Converter(raw.get("$defs", {}), defaults=defaults).convert(raw, model.__name__)


class _Converter:
    """Inlines references and rewrites one schema after the other."""

    def __init__(self, definitions: Mapping[str, Schema], *, defaults: bool) -> None:
        self._definitions = definitions
        self._defaults = defaults

    def convert(self, raw: Schema, path: str) -> Schema:
        """Rewrite one schema and everything below it."""
        schema = self._alternatives(self._inlined(dict(raw), path), path)
        for word in _REFUSED:
            if word in schema:
                raise NotStructural(f"{path}: {word} has no place in a structural schema")
        for word in _DROPPED:
            schema.pop(word, None)
        for rewrite in (_constant, _exclusive, _open_or_closed, self._default):
            rewrite(schema)
        self._children(schema, path)
        return schema

    def _inlined(self, schema: Schema, path: str) -> Schema:
        """Put the definition in place of its reference; what stands beside the reference goes first."""
        reference = schema.pop("$ref", None)
        if reference is None:
            return schema
        name = str(reference).removeprefix("#/$defs/")
        if name not in self._definitions:
            raise NotStructural(f"{path}: {reference} refers to nothing")
        return self._inlined(merged(self._definitions[name], schema), path)

    def _alternatives(self, schema: Schema, path: str) -> Schema:
        """`X | None` is X that may be absent; `int | str` has a keyword of its own; nothing else is allowed."""
        if "anyOf" not in schema:
            return schema
        options = [option for option in schema.pop("anyOf") if option.get("type") != "null"]
        if len(options) == 1:
            return self._alternatives(self._inlined(merged(options[0], schema), path), path)
        if frozenset(str(option.get("type")) for option in options) in _INT_OR_STRING:
            return {"x-kubernetes-int-or-string": True, **schema}
        raise NotStructural(f"{path}: alternatives other than `X | None` and `int | str`")

    def _default(self, schema: Schema) -> None:
        """Absent is absent: null and empty lists are no defaults; a status has none at all."""
        if not self._defaults or schema.get("default", None) in (None, [], ()):
            schema.pop("default", None)

    def _children(self, schema: Schema, path: str) -> None:
        if "properties" in schema:
            schema["properties"] = {
                name: self.convert(child, f"{path}.{name}") for name, child in schema["properties"].items()
            }
        if "items" in schema:
            schema["items"] = self.convert(schema["items"], f"{path}[]")
        if isinstance(schema.get("additionalProperties"), dict):
            schema["additionalProperties"] = self.convert(schema["additionalProperties"], f"{path}.*")


def merged(base: Schema, over: Schema) -> Schema:
    """`base` with the keywords of `over` on top; CEL rules of both hold."""
    result = {**base, **over}
    both = [*base.get("x-kubernetes-validations", ()), *over.get("x-kubernetes-validations", ())]
    return {**result, "x-kubernetes-validations": both} if both else result


def _constant(schema: Schema) -> None:
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]


def _exclusive(schema: Schema) -> None:
    """OpenAPI v3.0 has a flag beside the bound instead of a bound of its own."""
    for word, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(schema.get(word), (int, float)) and not isinstance(schema[word], bool):
            schema[bound], schema[word] = schema[word], True


def _open_or_closed(schema: Schema) -> None:
    """Undeclared fields are preserved where the model keeps them, else pruned, which needs no keyword."""
    extra = schema.get("additionalProperties")
    if extra is True:
        schema.pop("additionalProperties")
        schema["x-kubernetes-preserve-unknown-fields"] = True
    elif extra is False:
        schema.pop("additionalProperties")


def walk(schema: Schema, visit: Callable[[str, Schema], None], path: str = "") -> None:
    """Visit a structural schema and every schema below it, with its path such as `spec.windows[].start`."""
    visit(path, schema)
    for name, child in schema.get("properties", {}).items():
        walk(child, visit, f"{path}.{name}".lstrip("."))
    if "items" in schema:
        walk(schema["items"], visit, f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        walk(schema["additionalProperties"], visit, f"{path}.*")
