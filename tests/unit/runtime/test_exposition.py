"""What a scrape gets: the names and labels of the contract, counters that never fall, text that nobody keeps."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from gpucost.core.clock import SECOND
from gpucost.core.money import PICO
from gpucost.runtime.bulk import BulkText
from gpucost.runtime.metrics import COST_LABELS, Exposition, Figures, FiguresCollector

BERT = ("research", "TrainingJob", "bert", "training", "spot")
NODE = ("", "Node", "gpu-0", "", "")


def exposition(figures: Figures) -> Exposition:
    registry = CollectorRegistry()
    registry.register(FiguresCollector(figures, lambda: 100 * SECOND))
    return Exposition(registry, figures)


def samples(figures: Figures) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every series as Prometheus reads it, by name and values of labels."""
    families = text_string_to_metric_families(b"".join(exposition(figures).pieces()).decode())
    return {(s.name, tuple(s.labels.values())): s.value for family in families for s in family.samples}


def test_the_series_are_those_of_the_contract() -> None:
    figures = Figures(conservation=0, data_times={"prometheus": 60 * SECOND}, saved={"placement": -PICO})
    figures.update_counter(figures.cost, {(*BERT, "active"): 3 * PICO // 2, (*NODE, "idle"): PICO})
    figures.update_counter(figures.gpu_time, {(*BERT, "active"): 7200 * SECOND})
    figures.gpu_price = {("gpu-0", "p5.48xlarge", "PriceBook/team"): 2.5125}
    found = samples(figures)
    assert found["gpucost_cost_total", (*BERT, "active")] == 1.5
    assert found["gpucost_cost_total", (*NODE, "idle")] == 1.0
    assert found["gpucost_gpu_seconds_total", (*BERT, "active")] == 7200.0
    assert found["gpucost_gpu_price_per_hour", ("gpu-0", "p5.48xlarge", "PriceBook/team")] == 2.5125
    assert found["gpucost_conservation_difference", ()] == 0.0
    assert found["gpucost_data_age_seconds", ("prometheus",)] == 40.0
    assert found["gpucost_saved", ("placement",)] == -1.0
    assert COST_LABELS == ("namespace", "workload_kind", "workload", "category", "capacity_type", "state")


def test_counters_never_fall_not_even_to_nothing() -> None:
    figures = Figures()
    series = (*BERT, "held")
    for value, shown in ((5, 5), (3, 5), (None, 5), (4, 5), (6, 6)):
        totals = {(*BERT, "active"): 1} | ({series: value} if value is not None else {})
        figures.update_counter(figures.cost, totals)
        assert figures.cost[series] == shown


def test_whoever_is_gone_takes_its_series_along() -> None:
    figures = Figures()
    figures.update_counter(figures.cost, {(*BERT, "active"): 1, (*NODE, "idle"): 1})
    figures.update_counter(figures.cost, {(*NODE, "idle"): 2})
    assert figures.cost == {(*NODE, "idle"): 2}


def test_odd_names_are_escaped() -> None:
    figures = Figures()
    odd = ('a"b', "Kind\\x", "two\nlines", "training", "spot", "active")
    figures.update_counter(figures.cost, {odd: PICO})
    assert samples(figures)["gpucost_cost_total", odd] == 1.0


def large(bulk: BulkText, figures: Figures) -> str:
    """The text of the large families."""
    return b"".join(bulk.pieces(figures.large())).decode()


def test_text_follows_the_figures_and_only_labels_are_remembered() -> None:
    figures, bulk = Figures(), BulkText()
    figures.update_counter(figures.cost, {(*BERT, "active"): PICO, (*NODE, "idle"): PICO})
    figures.gpu_price = {("gpu-0", "p5.48xlarge", "PriceBook/team"): 2.5}
    first = large(bulk, figures)
    assert large(bulk, figures) == first
    figures.update_counter(figures.cost, {(*BERT, "active"): 2 * PICO})
    figures.gpu_price = {}
    second = large(bulk, figures)
    assert 'state="active"} 2.0' in second
    assert "gpu-0" not in second
    assert second == large(BulkText(), figures)


def test_many_series_come_in_several_pieces_and_none_is_lost() -> None:
    figures = Figures()
    totals = {("team", "Job", f"run-{n}", "training", "spot", state): n for n in range(3000) for state in ("a", "b")}
    figures.update_counter(figures.cost, totals)
    pieces = list(BulkText().pieces(figures.large()))
    assert len(pieces) > 3
    assert all(piece.endswith(b"\n") for piece in pieces)
    found = samples(figures)
    assert {labels: round(found["gpucost_cost_total", labels] * PICO) for labels in totals} == totals
