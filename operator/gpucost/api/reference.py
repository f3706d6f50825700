"""The field reference in `docs/reference/`: Markdown for people, JSON Schema for editors and checks in CI."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from gpucost.api.crds import object_schema
from gpucost.api.kinds import GROUP, KINDS, VERSION, Kind
from gpucost.api.schema import Schema, walk

_NOTE = "<!-- Generated from the models in operator/gpucost/api. Do not edit. -->"


def render_all() -> dict[str, str]:
    """Markdown and JSON Schema of every kind, by file name."""
    files: dict[str, str] = {}
    for kind in KINDS:
        files[f"{kind.name.lower()}.md"] = markdown(kind)
        files[f"{kind.name.lower()}.schema.json"] = json.dumps(json_schema(kind), indent=2, ensure_ascii=False) + "\n"
    return files


def json_schema(kind: Kind) -> dict[str, Any]:
    """JSON Schema of a manifest; CEL rules and list keys are left to the API server."""
    schema = _plain(object_schema(kind))
    schema["properties"]["apiVersion"]["const"] = f"{GROUP}/{VERSION}"
    schema["properties"]["kind"]["const"] = kind.name
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://{GROUP}/{VERSION}/{kind.name.lower()}.schema.json",
        "title": kind.name,
    }
    return {**head, **schema, "required": ["apiVersion", "kind", "metadata", "spec"]}


def _plain(schema: Schema) -> Schema:
    """Kubernetes' extensions in the words of JSON Schema; what the server would prune is an error."""
    result = {word: value for word, value in schema.items() if not word.startswith("x-kubernetes-")}
    if schema.get("x-kubernetes-int-or-string"):
        result["type"] = ["integer", "string"]
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            result[word] = _plain(schema[word])
    if schema.get("properties"):
        result["properties"] = {name: _plain(child) for name, child in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            result["additionalProperties"] = False
    return result


def markdown(kind: Kind) -> str:
    """One page: what the kind is, an example, then every field of spec and status."""
    scope = "namespaced" if kind.namespaced else "cluster-scoped"
    lines = [
        _NOTE,
        f"# {kind.name}",
        "",
        kind.about,
        "",
        f"`{GROUP}/{VERSION}`, {scope}; `kubectl get {kind.short}`, `kubectl explain {kind.short}.spec`.",
        f"JSON Schema: [{kind.name.lower()}.schema.json]({kind.name.lower()}.schema.json).",
        "",
        "```yaml",
        kind.example.rstrip(),
        "```",
    ]
    for part in ("spec", "status"):
        lines += ["", f"## {part}", "", *_fields(object_schema(kind)["properties"][part], part)]
    lines += ["", "## Columns of `kubectl get`", "", "| Column | Shows | |", "|---|---|---|"]
    lines += [f"| {c.name} | {c.description} | {'`-o wide`' if c.wide else ''} |" for c in kind.columns]
    return "\n".join(lines) + "\n"


def _fields(schema: Schema, part: str) -> Iterator[str]:
    """A paragraph for each field, in the order of the model."""
    found: list[tuple[str, Schema, bool]] = []

    def visit(path: str, node: Schema) -> None:
        for name, child in node.get("properties", {}).items():
            found.append((f"{path}.{name}".lstrip("."), child, name in node.get("required", ())))

    walk(schema, visit)
    order = {path: index for index, path in enumerate(_paths(schema))}
    for path, child, required in sorted(found, key=lambda one: order[one[0]]):
        yield from (f"### `{part}.{path}`", "", f"{_type(child)}{', required' if required else ''}{_bounds(child)}", "")
        yield from (_text(child.get("description", "")), "")
        for check in child.get("x-kubernetes-validations", ()):
            yield from (f"- Checked: {check['message']}.", "")


def _paths(schema: Schema) -> list[str]:
    paths: list[str] = []
    walk(schema, lambda path, _: paths.append(path))
    return paths


def _type(schema: Schema) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map of {_type(schema['additionalProperties'])}"
    return str(schema["type"])


_WORDS = {
    "minimum": "from {}",
    "maximum": "to {}",
    "minItems": "at least {}",
    "maxItems": "at most {}",
    "maxProperties": "at most {}",
    "maxLength": "at most {} characters",
}


def _bounds(schema: Schema) -> str:
    parts = [words.format(schema[word]) for word, words in _WORDS.items() if schema.get(word)]
    if "enum" in schema:
        parts.append("one of " + ", ".join(f"`{value}`" for value in schema["enum"]))
    if "default" in schema:
        parts.append(f"default `{json.dumps(schema['default'])}`")
    return "".join(f", {part}" for part in parts)


def _text(description: str) -> str:
    """Keep examples, which are paragraphs of YAML, as code."""
    blocks = []
    for block in description.split("\n\n"):
        first, _, rest = block.partition("\n")
        is_code = bool(rest) and first.endswith(":")
        blocks.append(f"```yaml\n{block}\n```" if is_code else block)
    return "\n\n".join(blocks)
