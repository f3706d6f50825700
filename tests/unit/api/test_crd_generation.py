"""The CRDs are generated, complete and fresh."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import BaseModel, Field

import gen_api
from gpucost.api.crds import definition, object_schema, render_all
from gpucost.api.kinds import KINDS, Kind
from gpucost.api.reference import json_schema, markdown
from gpucost.api.schema import NotStructural, Schema, structural, walk

PER_KIND = pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])


def fields(kind: Kind) -> list[tuple[str, Schema]]:
    """Every field of a kind below spec and status, with its path."""
    found: list[tuple[str, Schema]] = []

    def visit(path: str, schema: Schema) -> None:
        for name, child in schema.get("properties", {}).items():
            found.append((f"{path}.{name}".lstrip("."), child))

    walk(object_schema(kind), visit)
    return found


def test_every_generated_file_is_fresh() -> None:
    outdated = [str(path.relative_to(gen_api.ROOT)) for path in gen_api.stale(gen_api.generated())]
    assert not outdated, f"run `python tools/gen_api.py`: {outdated}"


def test_no_other_file_lies_among_the_generated_ones() -> None:
    for folder in (gen_api.ROOT / "crds", gen_api.ROOT / "charts/gpucost/files/crds"):
        assert sorted(path.name for path in folder.iterdir()) == sorted(render_all())


def test_a_stale_file_is_found_and_named(tmp_path: Path) -> None:
    good, old, missing = tmp_path / "good", tmp_path / "old", tmp_path / "missing"
    good.write_text("x")
    old.write_text("y")
    assert gen_api.stale({good: "x", old: "x", missing: "x"}) == [old, missing]


@PER_KIND
def test_the_yaml_says_what_the_model_says(kind: Kind) -> None:
    text = render_all()[f"gpucost.dev_{kind.plural}.yaml"]
    assert yaml.safe_load(text) == definition(kind)


@PER_KIND
def test_every_field_is_described(kind: Kind) -> None:
    # the API server allows nothing but a type for metadata, and describes it itself
    bare = [path for path, schema in fields(kind) if not schema.get("description") and path != "metadata"]
    assert not bare


@PER_KIND
def test_every_text_list_and_map_is_bounded(kind: Kind) -> None:
    unbounded: list[str] = []

    def visit(path: str, schema: Schema) -> None:
        bound = {"string": "maxLength", "array": "maxItems"}.get(str(schema.get("type")))
        if isinstance(schema.get("additionalProperties"), dict):
            bound = "maxProperties"
        if bound and bound not in schema and "enum" not in schema:
            unbounded.append(path)

    walk(object_schema(kind), visit)
    assert unbounded == ["apiVersion", "kind"]  # these two the server knows


@PER_KIND
def test_every_rule_says_what_is_right(kind: Kind) -> None:
    def visit(path: str, schema: Schema) -> None:
        for rule in schema.get("x-kubernetes-validations", ()):
            assert len(rule["message"]) > 20, path

    walk(object_schema(kind), visit)


@PER_KIND
def test_no_floating_point_number_is_in_the_api(kind: Kind) -> None:
    def visit(path: str, schema: Schema) -> None:
        assert schema.get("type") != "number", path

    walk(object_schema(kind), visit)


@PER_KIND
def test_a_status_has_no_defaults(kind: Kind) -> None:
    def visit(path: str, schema: Schema) -> None:
        assert "default" not in schema, path

    walk(object_schema(kind)["properties"]["status"], visit)


@PER_KIND
def test_the_reference_lists_every_field(kind: Kind) -> None:
    page = markdown(kind)
    for path, _ in fields(kind):
        if path.startswith(("spec.", "status.")):
            assert f"### `{path}`" in page


@PER_KIND
def test_the_json_schema_is_plain(kind: Kind) -> None:
    def visit(node: Any) -> None:
        if isinstance(node, dict):
            assert not [key for key in node if key.startswith("x-kubernetes")]
            for child in node.values():
                visit(child)
        elif isinstance(node, list):
            for child in node:
                visit(child)

    visit(json_schema(kind))


class Inner(BaseModel):
    """An inner object."""

    value: int = Field(1, description="A value.")


class Outer(BaseModel):
    """An outer object."""

    one: Inner = Field(description="Goes before the inner text.")
    maybe: Annotated[int, Field(gt=0)] | None = Field(None, description="May be absent.")
    constant: Literal["x"] = Field("x", description="Always x.")
    either: int | str = Field(description="A number or a text.")
    many: list[Inner] = Field(default=[], description="A list.")


def test_references_are_inlined_and_their_own_text_wins() -> None:
    one = structural(Outer)["properties"]["one"]
    assert one["description"] == "Goes before the inner text."
    assert one["properties"]["value"] == {"type": "integer", "default": 1, "description": "A value."}


def test_what_may_be_absent_has_one_type_and_no_null() -> None:
    maybe = structural(Outer)["properties"]["maybe"]
    assert maybe == {"type": "integer", "minimum": 0, "exclusiveMinimum": True, "description": "May be absent."}


def test_constants_numbers_or_texts_and_empty_lists() -> None:
    properties = structural(Outer)["properties"]
    assert properties["constant"]["enum"] == ["x"]
    assert properties["either"] == {"x-kubernetes-int-or-string": True, "description": "A number or a text."}
    assert "default" not in properties["many"]


def test_no_default_is_left_when_none_are_wanted() -> None:
    assert "default" not in structural(Outer, defaults=False)["properties"]["one"]["properties"]["value"]


class Union(BaseModel):
    """Two kinds of object in one place."""

    thing: Inner | list[int]


class Fixed(BaseModel):
    """A tuple of fixed length."""

    pair: tuple[int, str]


@pytest.mark.parametrize(("model", "words"), [(Union, "Union.thing: alternatives"), (Fixed, "Fixed.pair: prefixItems")])
def test_what_a_crd_cannot_say_is_refused_at_generation(model: type[BaseModel], words: str) -> None:
    with pytest.raises(NotStructural, match=words):
        structural(model)


def test_a_budget_is_called_a_limit_and_no_price() -> None:
    crd = yaml.safe_load(render_all()["gpucost.dev_trainingjobs.yaml"])
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    budget = spec["properties"]["budget"]["properties"]
    for name in ("cost", "gpuHours"):
        messages = [one["message"] for one in budget[name]["x-kubernetes-validations"]]
        assert messages[0] == "must not be negative; give the limit as a string such as '500'"
