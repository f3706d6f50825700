"""Bad input: exit code 2, nothing on stdout, and one line per problem that names its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gpucost.cli.main import gpucost_group
from support.offline_world import allocate, node, pod, problems, run, scenario, time


def good():
    nodes = [node(gpus=8, cpu="64", memory="256Gi", prices={0: "1", 5: "2"}, gpu={"model": "H100", "count": 8})]
    usage = {"cpu": "2", "memory": "1Gi", "gpuActive": 0.5}
    return scenario(nodes, [pod("p0", gpus=1, cpu="1"), pod("p1", (0, 2), gpus=1, usage=usage)], window=(0, 10))


def changed(place: str, value: object, *, delete: bool = False) -> dict:
    """A good scenario with one thing changed; `place` such as `nodes.0.uid` (`|` for keys with dots)."""
    document = good()
    *path, last = place.split("|" if "|" in place else ".")
    target = document
    for step in path:
        target = target[int(step)] if isinstance(target, list) else target[step]
    key = int(last) if isinstance(target, list) else last
    if delete:
        del target[key]
    else:
        target[key] = value
    return document


def test_the_scenario_that_these_tests_spoil_is_good():
    assert allocate(good())["total"]["cost"] == "15.000000"


SPOILED = [
    ("nodes.0.uid", 5, "$.nodes[0].uid: want a string, not the number 5"),
    ("nodes.0.start", "yesterday", "$.nodes[0].start: not an RFC 3339 time: 'yesterday'"),
    ("nodes.0.start", "2026-11-01T00:00:00", "$.nodes[0].start: not an RFC 3339 time"),
    ("nodes.0.start", "2026-13-01T00:00:00Z", "$.nodes[0].start: not an RFC 3339 time"),
    ("nodes.0.start", "2026-W44-7T00:00:00Z", "$.nodes[0].start: not an RFC 3339 time"),
    ("nodes.0.end", "2026-10-01T00:00:00Z", "$.nodes[0].end: 2026-10-01T00:00:00Z is before the start"),
    ("nodes.0.capacity.cpu", 64, "$.nodes[0].capacity.cpu: want a string, not the number 64"),
    ("nodes.0.capacity.cpu", "many", "$.nodes[0].capacity.cpu: not a Kubernetes quantity: 'many'"),
    ("nodes.0.capacity.memory", "-1Gi", "$.nodes[0].capacity.memory: must not be negative: '-1Gi'"),
    ("nodes.0.capacity.memory", "1e999999999", "$.nodes[0].capacity.memory: not a Kubernetes quantity"),
    ("nodes.0.capacity.memory", "1e30", "$.nodes[0].capacity.memory: too large"),
    ("nodes|0|capacity|nvidia.com/gpu", "7.5", '$.nodes[0].capacity["nvidia.com/gpu"]: not a whole number of devices'),
    ("nodes|0|capacity|nvidia.com/mig-9g.1gb", "1", "$.nodes[0].gpu: "),
    ("nodes.0.gpu.count", -1, "$.nodes[0].gpu.count: want a number that is 0 or more"),
    ("nodes.0.gpu.count", "8", "$.nodes[0].gpu.count: want a whole number or a number or null, not the string '8'"),
    ("nodes.0.gpu.count", 0, "$.nodes[0].gpu: GPUs are advertised by a machine that has none"),
    ("nodes.0.gpu.replicasPerGpu", 0, "$.nodes[0].gpu.replicasPerGpu: want a number that is more than 0"),
    ("nodes.0.prices.1.hourly", "-2", "$.nodes[0].prices[1].hourly: must not be negative: '-2'"),
    ("nodes.0.prices.1.hourly", 2.5, "$.nodes[0].prices[1].hourly: want a string, not the number 2.5"),
    ("nodes.0.prices.1.hourly", "NaN", "$.nodes[0].prices[1].hourly: not a decimal amount: 'NaN'"),
    ("nodes.0.prices.1.hourly", "1e3", "$.nodes[0].prices[1].hourly: not a decimal amount"),
    ("nodes.0.prices.1.hourly", "", "$.nodes[0].prices[1].hourly: not a decimal amount"),
    ("nodes.0.prices.1.hourly", "1.", "$.nodes[0].prices[1].hourly: not a decimal amount"),
    ("nodes.0.prices.1.from", time(0), "$.nodes[0].prices[1].from: 2026-11-01T00:00:00Z is the start of"),
    ("nodes.0.prices.1.from", "2026-11-01T01:00:00+01:00", "$.nodes[0].prices[1].from: 2026-11-01T00:00:00Z is the"),
    ("nodes.0.prices", {}, "$.nodes[0].prices: want a list or null, not an object"),
    ("pods.1.uid", "p0", "$.pods[1].uid: 'p0' is the UID of $.pods[0] too"),
    ("pods.1.node", "n9", "$.pods[1].node: no node has the UID 'n9'"),
    ("pods.1.node", "name-of-n1", "$.pods[1].node: no node has the UID 'name-of-n1'; 'name-of-n1' is a name"),
    ("pods.1.node", None, "$.pods[1].node: want a string, not null"),
    ("pods.1.workload", "bert", "$.pods[1].workload: want Kind/name, not 'bert'"),
    ("pods.1.intervals", "always", "$.pods[1].intervals: want a list, not the string 'always'"),
    ("pods.1.intervals.0.start", "?", "$.pods[1].intervals[0].start: not an RFC 3339 time: '?'"),
    ("pods.1.intervals.0.end", "2026-10-01T00:00:00Z", "$.pods[1].intervals[0].end: 2026-10-01T00:00:00Z is before"),
    ("pods.1.intervals.0.end", 7, "$.pods[1].intervals[0].end: want a string or null, not the number 7"),
    ("pods|1|requests|nvidia.com/gpu", "9", '$.pods[1].requests["nvidia.com/gpu"]: 10 are requested at once on node'),
    ("pods|1|requests|nvidia.com/gpu", "0.5", '$.pods[1].requests["nvidia.com/gpu"]: not a whole number of devices'),
    ("pods|1|requests|nvidia.com/mig-1g.10gb", "1", "$.pods[1].requests[\"nvidia.com/mig-1g.10gb\"]: node 'n1' has no"),
    (
        "pods|1|requests|example.com/nic",
        "1",
        "$.pods[1].requests[\"example.com/nic\"]: node 'n1' has no example.com/nic",
    ),
    ("pods.1.requests.cpu", "1 core", "$.pods[1].requests.cpu: not a Kubernetes quantity: '1 core'"),
    ("pods.1.requests.cpu", None, "$.pods[1].requests.cpu: want a string, not null"),
    ("pods.1.usage.cpu", -1, "$.pods[1].usage.cpu: must not be negative"),
    ("pods.1.usage.cpu", "x", "$.pods[1].usage.cpu: not a Kubernetes quantity: 'x'"),
    ("pods.1.usage.cpu", True, "$.pods[1].usage.cpu: want"),
    ("pods.1.usage.memory", [{"from": time(0), "value": "x"}], "$.pods[1].usage.memory[0].value: not a Kubernetes"),
    ("pods.1.usage.memory", [{"value": "1"}], "$.pods[1].usage.memory[0].from: missing"),
    ("pods.1.usage.memory", [{"from": time(0)}] * 2, "$.pods[1].usage.memory[1].from: two values from"),
    ("pods.1.usage.gpuActive", 1.5, "$.pods[1].usage.gpuActive: want a number from 0 to 1, not 1.5"),
    ("pods.1.usage.gpuActive", -0.1, "$.pods[1].usage.gpuActive: want a number from 0 to 1, not -0.1"),
    ("pods.1.usage.gpuActive", 4294967295, "$.pods[1].usage.gpuActive: want a number from 0 to 1"),
    ("pods.1.usage.gpuActive", float("nan"), "$.pods[1].usage.gpuActive: NaN is not a number that JSON has"),
    ("pods.1.usage.gpuActive", float("inf"), "$.pods[1].usage.gpuActive: Infinity is not a number that JSON has"),
    ("pods.1", None, "$.pods[1]: want an object, not null"),
    ("pods.1", [], "$.pods[1]: want an object, not a list"),
    ("pods", {}, "$.pods: want a list, not an object"),
    ("nodes", None, "$.nodes: want a list, not null"),
    ("currency", 1, "$.currency: want a string, not the number 1"),
    ("window.start", "now", "$.window.start: not an RFC 3339 time: 'now'"),
    ("window.end", None, "$.window.end: missing; a window has an end"),
    ("window.end", "2026-10-01T00:00:00Z", "$.window.end: 2026-10-01T00:00:00Z is before the start"),
    ("window", "today", "$.window: want an object, not the string 'today'"),
]


@pytest.mark.parametrize(("place", "value", "message"), SPOILED, ids=[f"{s[0]}={s[1]!r:.30}" for s in SPOILED])
def test_each_problem_is_one_line_that_names_its_place(place, value, message):
    lines = problems(changed(place, value))
    assert [line for line in lines if line.startswith(message)], lines
    assert len(lines) == 1 or place == "nodes", lines


@pytest.mark.parametrize(
    ("place", "path"),
    [
        ("nodes", "$.nodes"),
        ("pods", "$.pods"),
        ("nodes.0.uid", "$.nodes[0].uid"),
        ("nodes.0.start", "$.nodes[0].start"),
        ("nodes.0.prices.0.from", "$.nodes[0].prices[0].from"),
        ("nodes.0.prices.0.hourly", "$.nodes[0].prices[0].hourly"),
        ("pods.0.uid", "$.pods[0].uid"),
        ("pods.0.name", "$.pods[0].name"),
        ("pods.0.namespace", "$.pods[0].namespace"),
        ("pods.0.node", "$.pods[0].node"),
        ("pods.0.intervals", "$.pods[0].intervals"),
        ("pods.0.intervals.0.start", "$.pods[0].intervals[0].start"),
    ],
)
def test_what_is_missing_is_named(place, path):
    assert f"{path}: missing" in [line.split(";")[0] for line in problems(changed(place, None, delete=True))]


def test_overlapping_intervals_of_a_pod_are_refused_and_touching_ones_are_not():
    nodes = [node(gpus=1)]
    assert problems(scenario(nodes, [pod("a", (0, 3), (2, 4), gpus=1)])) == [
        "$.pods[0].intervals[1]: overlaps another one at 2026-11-01T02:00:00Z"
    ]
    assert allocate(scenario(nodes, [pod("a", (0, 2), (2, 4), (2, 2), gpus=1)]))["rows"][0]["cost"] == "16.000000"


def test_a_node_without_an_end_needs_a_window():
    assert problems(scenario([node(gpus=1, end=None)], [])) == [
        "$.nodes[0].end: missing; give the node an end, or the scenario a window"
    ]


def test_two_nodes_of_one_uid_are_refused():
    lines = problems(scenario([node(gpus=1), node(gpus=1)], []))
    assert lines == ["$.nodes[1].uid: 'n1' is the UID of $.nodes[0] too; each node needs its own"]


def test_gpus_are_counted_at_each_instant_and_over_the_whole_life_of_the_node():
    nodes = [node(gpus=2)]
    fine = [pod("a", (0, 5), gpus=2), pod("b", (5, 10), gpus=2)]
    assert allocate(scenario(nodes, fine))["idle"]["cost"] == "0.000000"
    many = [pod("a", (0, 5), gpus=2), pod("b", (4, 10), gpus=1)]
    expected = (
        "$.pods[1].requests[\"nvidia.com/gpu\"]: 3 are requested at once on node 'n1' at 2026-11-01T04:00:00Z, "
        "which has 2"
    )
    assert problems(scenario(nodes, many)) == [expected]
    assert problems(scenario(nodes, many, window=(0, 1))) == [expected]


def test_all_problems_are_named_at_once():
    document = good()
    document["nodes"][0]["prices"][0]["hourly"] = "x"
    document["pods"][0] |= {"node": "n9", "name": 4}
    document["pods"][1]["usage"]["cpu"] = "y"
    document["pods"][1]["intervals"].append({"start": "z", "end": None})
    document["pods"].append(pod("p2", on="n8"))
    assert [line.split(":")[0] for line in problems(document)] == [
        "$.nodes[0].prices[0].hourly",
        "$.pods[0].name",
        "$.pods[1].usage.cpu",
        "$.pods[1].intervals[1].start",
        "$.pods[2].node",
    ]


def test_a_pod_on_no_node_is_told_what_else_is_wrong_with_it():
    lost = pod("p", (2, 1), on="n9", cpu="16x", workload="nameless", usage={"cpu": "many"})
    said = run(scenario([node(gpus=1)], [lost], (0, 10))).stderr
    for place in ("node", "requests.cpu", "workload", "intervals[0]", "usage.cpu"):
        assert f"$.pods[0].{place}" in said


def test_pods_on_a_faulty_node_are_not_blamed_for_it():
    assert [line.split(":")[0] for line in problems(changed("nodes.0.start", 5))] == ["$.nodes[0].start"]


def test_very_many_problems_are_counted_not_printed():
    pods = [pod(f"p{number}", on="n9") for number in range(1000)]
    lines = problems(scenario([node(gpus=1)], pods))
    assert len(lines) == 51
    assert lines[-1] == "$: and 950 more problems like these"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "$: not JSON: line 1, column 1: Expecting value"),
        ('{\n  "nodes": [,]\n}', "$: not JSON: line 2, column 13"),
        ('{"nodes": [], "pods": []', "$: not JSON: line 1, column 25"),
        ("[]", "$: want an object with nodes and pods, not a list"),
        ("[" * 100_000, "$: not "),
        ('{"nodes": [], "pods": [], "window": NaN}', "$.window: NaN is not a number that JSON has"),
    ],
)
def test_what_is_no_scenario_is_refused(text, message):
    lines = problems(text)
    assert lines[0].startswith(message), lines


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "scenario.json"
    path.write_bytes(b'{"nodes": [], "pods": [], "currency": "\xff"}')
    result = CliRunner().invoke(gpucost_group, ["allocate", str(path)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("$: not UTF-8 text")


def test_a_file_that_is_not_there_is_named(tmp_path):
    result = CliRunner().invoke(gpucost_group, ["allocate", str(tmp_path / "no.json")])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no.json: cannot be read: No such file or directory" in result.stderr


@pytest.mark.parametrize(
    "flags",
    [
        ["--by", "colour"],
        ["--by", "label:"],
        ["--split", "evenly"],
        ["--weights", "gpu=x"],
        ["--weights", "gpu=1,gpu=2"],
        ["--weights", "gpu=0"],
        ["--split", "gpuOnly", "--weights", "aws"],
        ["--window", "2026-11-01"],
        ["--window", "2026-11-02,2026-11-01"],
        ["--window", "2026-11-01,soon"],
        ["-o", "xml"],
    ],
)
def test_wrong_flags_are_refused(flags):
    result = run(good(), *flags)
    assert (result.exit_code, result.stdout) == (2, "")
    assert flags[-2] in result.stderr or "--weights" in result.stderr


def test_unknown_fields_are_ignored():
    document = good() | {"comment": "of the week"}
    document["pods"][0]["note"] = {"by": "me"}
    assert allocate(document) == allocate(good())


def test_help_shows_examples():
    result = CliRunner().invoke(gpucost_group, ["allocate", "--help"])
    assert result.exit_code == 0
    assert "gpucost allocate week.json --by label:team -o json" in result.stdout


def test_a_file_and_standard_input_give_the_same(tmp_path):
    path: Path = tmp_path / "scenario.json"
    path.write_text(json.dumps(good()))
    result = CliRunner().invoke(gpucost_group, ["allocate", str(path), "-o", "json"])
    assert json.loads(result.stdout) == allocate(good())
