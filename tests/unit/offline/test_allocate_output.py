"""What `gpucost allocate` prints, and that its published schemas say the same."""

from __future__ import annotations

import csv
import json

import pytest

from gpucost.offline import schema, wire
from support.offline_world import allocate, node, pod, run, scenario


def world():
    nodes = [node(gpus=4, cpu="64"), node("n2", price=None, cpu="8")]
    pods = [
        pod("a", (0, 5), gpus=2, usage={"gpuActive": 0.25}, workload="TrainingJob/bert"),
        pod("b", on="n2", cpu="1", namespace="other"),
    ]
    return scenario(nodes, pods)


def test_a_table_ends_with_what_is_not_in_it():
    assert run(world()).stdout.splitlines() == [
        "NAMESPACE      COST  ACTIVE   HELD  UNKNOWN  NO-GPU  GPU-HOURS  UTIL%  PRICED%",
        "ns           $10.00   $2.50  $7.50    $0.00   $0.00       10.0    25%     100%",
        "other      unpriced       -      -        -       -        0.0      -       0%",
        "idle         $30.00       -      -        -       -       30.0      -        -",
        "TOTAL        $40.00       -      -        -       -       40.0      -        -",
        "",
        "Window: 2026-11-01 00:00 to 10:00 UTC · split: dominantShare · difference 0.000000",
        "Unpriced: node n2 (name-of-n2) for 10.0 hours",
    ]


def test_an_empty_table_says_so():
    assert "No pod held anything in this time." in run(scenario([node(gpus=1)], [])).stdout


def test_csv_has_a_kind_for_each_line_and_the_columns_of_the_rows():
    lines = list(csv.DictReader(run(world(), "-o", "csv").stdout.splitlines()))
    assert [(line["kind"], line["key"], line["cost"]) for line in lines] == [
        ("row", "ns", "10.000000"),
        ("row", "other", ""),
        ("idle", "", "30.000000"),
        ("stranded", "", "0.000000"),
        ("total", "", "40.000000"),
    ]
    assert lines[0]["gpuUtilization"] == "0.25"


@pytest.mark.parametrize("flags", [[], ["--split", "weighted"], ["--split", "gpuOnly", "--by", "pod"]])
def test_the_result_is_what_its_schema_says(flags):
    found = allocate(world(), *flags)
    model = schema.Result.model_validate(found)
    assert model.model_dump(by_alias=True, exclude_unset=True) == found


def test_the_scenario_is_what_its_schema_says():
    document = json.loads(json.dumps(world()))
    assert schema.Scenario.model_validate(document).model_dump(by_alias=True, exclude_unset=True) == document


@pytest.mark.parametrize(
    ("read", "published"),
    [
        (wire.Node, schema.Node),
        (wire.Price, schema.Price),
        (wire.Gpu, schema.Gpu),
        (wire.Pod, schema.Pod),
        (wire.Span, schema.Interval),
        (wire.Usage, schema.Usage),
        (wire.Step, schema.Step),
        (wire.Scenario, schema.Scenario),
    ],
)
def test_every_field_that_is_read_is_published_with_the_same_duty(read, published):
    fields = dict(zip(read.__struct_encode_fields__, _required(read), strict=True))
    known = {field.alias or name: field.is_required() for name, field in published.model_fields.items()}
    assert fields.items() <= known.items()


def _required(read):
    optional = len(read.__struct_defaults__)
    count = len(read.__struct_fields__)
    return [number < count - optional for number in range(count)]
