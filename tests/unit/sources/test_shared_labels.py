"""Answers of an engine share the labels that they have in common, and nothing that differs is mixed up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gpucost.core.signals import ENGINE_ACTIVE, GPU_UTIL, METRICS
from gpucost.core.usage import Sample
from gpucost.sources.prometheus import UtilisationSource, _with_shared_labels
from gpucost.sources.promql import PromQL

GPU = {"UUID": "GPU-1", "Hostname": "n1", "pod": "train-0", "namespace": "team", "job": "dcgm", "instance": "n1:9400"}


class Answers:
    """Stands in for the connection to an engine: the same series for every metric, as new objects each time."""

    def __init__(self, series: list[dict[str, str]]) -> None:
        self.series = series

    def custom_query(self, query: str, **_: Any) -> list[dict[str, Any]]:
        value = str(next(number for number, metric in enumerate(METRICS) if f"({metric}[" in query))
        return [{"metric": dict(labels), "value": [0, value]} for labels in self.series]


async def read(series: list[dict[str, str]]) -> Mapping[str, list[Sample]]:
    engine = PromQL("http://prometheus.example")
    engine._connection = Answers(series)
    return await UtilisationSource(engine).read(0)


async def test_one_gpu_has_one_set_of_labels_in_all_answers() -> None:
    found = await read([GPU])
    assert {id(samples[0].labels) for samples in found.values()} == {id(found[ENGINE_ACTIVE][0].labels)}
    assert found[GPU_UTIL] == [Sample(GPU, METRICS.index(GPU_UTIL))]


async def test_what_differs_in_any_label_keeps_its_own() -> None:
    other = {**GPU, "modelName": "H100"}
    found = await read([GPU, other])
    assert [sample.labels for sample in found[GPU_UTIL]] == [GPU, other]


labels = st.dictionaries(st.sampled_from(["UUID", "GPU_I_ID", "pod", "instance", "job"]), st.sampled_from("abc"))


@given(st.lists(st.lists(st.tuples(labels, st.floats(allow_nan=False)))))
def test_sharing_changes_no_sample(answers: list[list[tuple[dict[str, str], float]]]) -> None:
    known: dict[tuple[str | None, ...], Mapping[str, str]] = {}
    last: list[Sample] = []
    for answer in answers:
        samples = [Sample(dict(one), value) for one, value in answer]
        last = _with_shared_labels([(one.labels, one.value) for one in samples], known, last)
        assert last == samples
