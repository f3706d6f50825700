"""Rows of the export against amounts worked out by hand, and against the specification's columns."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from gpucost.core.allocate import price_timeline
from gpucost.core.clock import HOUR, format_rfc3339
from gpucost.core.focus import Issuer, billing_period, host_of, rows_of
from gpucost.core.focus_columns import COLUMNS, NAMES, STATE_COSTS, Kind, Level, render_reference
from gpucost.core.focus_terms import terms
from gpucost.core.model import CapacityType
from support.focus_spec import MANDATORY, SPECIFIED, SUBCATEGORIES, problems
from support.focus_world import CHANGES, OTHERS, SPOT, filled, origins
from support.ledger_world import at, price, span

ISSUER = Issuer("prod")


@pytest.fixture
def made(tmp_path):
    """Rows of the first 24 hours of facts, by resource and holder."""

    def make(facts, step=24 * HOUR):
        url = f"sqlite:///{tmp_path}/ledger.db"
        filled(url, facts, 24.1).close()
        return [row for origin in origins(url, step=step) for row in rows_of(origin, ISSUER)]

    return make


def by_holder(rows, column):
    return {row["AllocatedResourceId"] or row["x_State"]: row[column] for row in rows}


def decimals(**values):
    return {name: Decimal(value) for name, value in values.items()}


# --- known answers ----------------------------------------------------------------------------------------------------


def test_a_day_of_a_spot_node_is_split_as_one_would_by_hand(made):
    rows = made(SPOT)
    assert by_holder(rows, "BilledCost") == decimals(a="8", b="46", idle="138")
    assert by_holder(rows, "PricingQuantity") == decimals(a="1", b="5.75", idle="17.25")
    assert by_holder(rows, "ListCost") == decimals(a="16", b="92", idle="276")
    assert by_holder(rows, "ConsumedQuantity") == decimals(a="8", b="46", idle="138")
    assert {(row["ContractedUnitPrice"], row["ListUnitPrice"]) for row in rows} == {(Decimal(8), Decimal(16))}
    assert {row["PricingCategory"] for row in rows} == {"Dynamic"}


def test_the_parts_of_a_cost_say_what_it_was_spent_on(made):
    rows = {row["AllocatedResourceId"] or row["x_State"]: row for row in made(SPOT)}
    spent = {who: {name: row[name] for name in STATE_COSTS if row[name]} for who, row in rows.items()}
    assert spent == {
        "a": decimals(x_ActiveCost="4", x_HeldCost="4"),
        "b": decimals(x_UnknownActivityCost="46"),
        "idle": decimals(x_IdleCost="138"),
    }
    assert rows["a"]["x_GpuActiveHours"] == 4
    assert rows["b"]["x_GpuActiveHours"] is None
    assert (rows["a"]["x_GpuMeasuredHours"], rows["b"]["x_GpuMeasuredHours"]) == (8, 0)


def test_a_price_that_changed_is_told_as_its_mean(made):
    rows = made(CHANGES)
    assert by_holder(rows, "BilledCost") == decimals(early="5", late="20")
    assert by_holder(rows, "PricingQuantity") == decimals(early="2", late="8")
    assert {row["ContractedUnitPrice"] for row in rows} == {Decimal("2.5")}


def test_what_nobody_can_price_has_no_row_and_is_counted(tmp_path, made):
    rows = made(CHANGES)
    assert by_holder(rows, "x_UnpricedHours") == decimals(early="0", late="0")
    (origin,) = origins(f"sqlite:///{tmp_path}/ledger.db")
    assert origin.terms.unpriced == 14 * HOUR
    assert {part.uid for part in origin.parts} == {"early", "late", "nobody-knows", ""}


def test_a_pod_of_which_a_part_has_a_price_says_how_much(made):
    rows = made([*SPOT, price(None, 12, capacity_type="spot")])
    assert by_holder(rows, "x_PricedCoverage")["b"] == Decimal("0.478260869565")  # 11 of 23 hours
    assert by_holder(rows, "BilledCost")["b"] == 22
    assert by_holder(rows, "x_UnpricedHours")["b"] == 12


def test_volumes_and_load_balancers_are_services_of_their_own(made):
    rows = {row["ResourceName"]: row for row in made(OTHERS) if row["AllocatedResourceId"]}
    volume, balancer = rows["pv-1"], rows["lb-1"]
    assert (volume["BilledCost"], volume["ServiceCategory"], volume["ResourceType"]) == (6, "Storage", "Volume")
    assert (volume["ConsumedQuantity"], volume["ConsumedUnit"]) == (2400, "GiB-Hours")
    assert volume["AllocatedResourceName"] == "data/index"
    assert (balancer["BilledCost"], balancer["ServiceCategory"]) == (Decimal("0.6"), "Networking")
    assert (balancer["ConsumedQuantity"], balancer["ConsumedUnit"]) == (24, "Hours")


def test_what_is_stranded_is_told_apart_from_what_is_idle(made):
    rows = [row for row in made(OTHERS) if row["ResourceId"] == "n3"]
    assert by_holder(rows, "BilledCost") == decimals(slice="96", idle="96", stranded="0")
    assert by_holder(rows, "x_GpuHours") == decimals(slice="84", idle="84", stranded="24")
    assert {row["PricingCategory"] for row in rows} == {"Committed"}


def test_an_hour_is_a_charge_period_where_asked_for(made):
    rows = made(SPOT, HOUR)
    first = [row for row in rows if row["ChargePeriodStart"] == at(0)]
    assert by_holder(first, "BilledCost") == decimals(a="4", idle="4")
    assert len({row["ChargePeriodStart"] for row in rows}) == 24
    assert all(row["ChargePeriodEnd"] - row["ChargePeriodStart"] == HOUR for row in rows)


def test_labels_become_tags_as_they_were_written(made):
    tags = {row["AllocatedResourceId"]: row["AllocatedTags"] for row in made(SPOT)}
    assert json.loads(tags["b"]) == {
        "team": 'nlp, "x"\n=1+1',
        "ü": "日本",
        "gpucost.dev/namespace": "research",
        "gpucost.dev/workload": "Job/bert",
        "gpucost.dev/category": "training",
    }
    assert tags[None] is None


# --- the specification ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [HOUR, 24 * HOUR])
@pytest.mark.parametrize("facts", [SPOT, CHANGES, OTHERS, [*SPOT, *CHANGES, *OTHERS]])
def test_every_row_is_as_the_specification_wants_it(made, facts, step):
    rows = made(facts, step)
    assert rows
    assert {problem for row in rows for problem in problems(row)} == set()


def test_the_check_of_rows_finds_what_is_wrong(made):
    row = made(SPOT)[0]
    assert problems({**row, "BilledCost": None}) == ["BilledCost is null"]
    assert problems({**row, "BilledCost": 1.5}) == ["BilledCost is no Decimal: 1.5"]
    assert problems({**row, "PricingCategory": "Spot"}) == ["PricingCategory has a value that is not allowed: 'Spot'"]
    assert problems({**row, "Tags": ""}) == ["Tags is no JSON: ''"]
    assert problems({**row, "Namespace": "x"}) == ["Namespace is neither specified nor a name of our own"]
    assert problems({**row, "ListCost": row["ListCost"] + 1}) == ["ListCost is not price x quantity"]


def test_columns_are_those_of_the_specification_and_in_its_order():
    specified = [column for column in COLUMNS if column.level is not Level.CUSTOM]
    own = [column.name for column in COLUMNS if column.level is Level.CUSTOM]
    assert {c.name: (c.kind.value, c.nullable) for c in specified} == {n: s[:2] for n, s in SPECIFIED.items()}
    assert {column.name for column in specified if column.level is Level.MANDATORY} == MANDATORY
    assert [column.name for column in specified] == sorted(SPECIFIED)
    assert own == sorted(own)
    assert all(name.startswith("x_") for name in own)
    assert tuple([column.name for column in specified] + own) == NAMES


def test_values_that_are_named_are_among_those_that_are_allowed():
    for column in COLUMNS:
        allowed = SPECIFIED[column.name][2] if column.name in SPECIFIED else None
        assert allowed is None or set(column.allowed) <= allowed, column.name
    named = {column.name: column.allowed for column in COLUMNS}
    assert set(named["ServiceSubcategory"]) <= SUBCATEGORIES.keys()


def test_rows_hold_nothing_that_has_no_column_and_only_values_that_are_named(made):
    named = {column.name: column for column in COLUMNS}
    for row in made([*SPOT, *CHANGES, *OTHERS]):
        assert row.keys() <= named.keys()
        for name, value in row.items():
            allowed = named[name].allowed
            assert not allowed or value is None or value in allowed, name
            assert value is not None or named[name].nullable, name


def test_numbers_are_decimals_and_never_floats(made):
    numbers = {column.name for column in COLUMNS if column.kind is Kind.DECIMAL}
    values = [row[name] for row in made(SPOT) for name in numbers & row.keys()]
    assert {type(value) for value in values} <= {Decimal, type(None)}


def test_the_reference_names_every_column():
    text = render_reference()
    assert all(f"| `{name}` |" in text for name in NAMES)


# --- parts ------------------------------------------------------------------------------------------------------------


def test_terms_without_any_price_are_unpriced_time():
    found = terms(at(0), None, CapacityType.SPOT, price_timeline([]), span(0, 24))
    assert found[CapacityType.SPOT].unpriced == 24 * HOUR
    assert found[CapacityType.SPOT].priced == 0


def test_terms_are_of_the_time_in_which_the_node_lives():
    found = terms(at(1), at(3), CapacityType.ON_DEMAND, price_timeline([price("2")]), span(0, 24))
    assert found[CapacityType.ON_DEMAND].priced == 2 * HOUR
    assert terms(at(1), at(3), CapacityType.ON_DEMAND, price_timeline([price("2")]), span(4, 5)) == {}


def test_a_reserved_node_is_contracted_at_its_on_demand_price():
    paid = replace(price("1", capacity_type="reserved"), on_demand=Decimal(3))
    found = terms(at(0), None, CapacityType.ON_DEMAND, price_timeline([paid]), span(0, 1))[CapacityType.RESERVED]
    assert (found.contracted, found.listed) == (Decimal(3), Decimal(3))


def test_a_mean_price_is_rounded_to_twelve_places():
    prices = price_timeline([price("1", 0), price("2", Fraction(1, 3))])
    found = terms(at(0), None, CapacityType.ON_DEMAND, prices, span(0, 1))[CapacityType.ON_DEMAND]
    assert found.contracted == Decimal("1.666666666667")


@pytest.mark.parametrize(
    ("instance_type", "host"),
    [
        ("p5.48xlarge", "AWS"),
        ("g4dn.xlarge", "AWS"),
        ("m5.metal", "AWS"),
        ("u-6tb1.112xlarge", "AWS"),
        ("Standard_ND96isr_H100_v5", "Microsoft"),
        ("a3-highgpu-8g", "Google Cloud"),
        ("n1-standard-4", "Google Cloud"),
        ("gpu_1x_h100", ""),
        ("bare-metal", ""),
        ("", ""),
    ],
)
def test_whose_machine_it_is_shows_in_the_form_of_its_type(instance_type, host):
    assert host_of(instance_type) == host


def test_a_host_that_is_set_is_told(made, tmp_path):
    made(SPOT)
    (origin,) = origins(f"sqlite:///{tmp_path}/ledger.db")
    rows = list(rows_of(origin, replace(ISSUER, host="Our basement", provider="Platform team")))
    assert {row["HostProviderName"] for row in rows} == {"Our basement"}
    assert {row["ServiceProviderName"] for row in rows} == {"Platform team"}


def test_billing_periods_are_calendar_months():
    month = billing_period(at(0))
    assert (format_rfc3339(month.start), format_rfc3339(month.end)) == ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
    december = billing_period(month.end + 5)
    assert format_rfc3339(december.end) == "2027-01-01T00:00:00Z"
