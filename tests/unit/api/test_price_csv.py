"""Tables of prices: what is read, what is tolerated, what is refused and in which words, and that nothing is lost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucost.api.convert import price_list
from gpucost.api.price_csv import COLUMNS, left_out, read_csv, write_csv

HEAD = "instanceType,gpuModel,region,capacityType,hourly,effectiveFrom\n"


def spec(text: str | bytes, **more: Any) -> dict[str, Any]:
    table = read_csv(text if isinstance(text, bytes) else text.encode(), **more)
    assert table.spec is not None, table.problems
    return table.spec


def problems(text: str | bytes, **more: Any) -> list[str]:
    table = read_csv(text if isinstance(text, bytes) else text.encode(), **more)
    assert table.spec is None
    return list(table.problems)


def test_every_kind_of_row_goes_into_its_list() -> None:
    text = (
        "instanceType,gpuModel,storageClass,loadBalancerClass,hourly,perGiBMonth,cpuHourly,memoryGiBHourly,effectiveUntil\n"
        "p5.48xlarge,,,,55.04,,,,\n"
        ",H100,,,6.88,,,,2027-01-01\n"
        ",,gp3,,,0.08,,,\n"
        ",,*,,,0.1,,,\n"
        ",,,a/b,0.0225,,,,\n"
        ",,,,,,0.03,0.004,\n"
    )
    assert spec(text) == {
        "currency": "USD",
        "prices": [
            {"instanceType": "p5.48xlarge", "hourly": "55.04"},
            {"gpuModel": "H100", "hourly": "6.88", "effectiveUntil": "2027-01-01T00:00:00Z"},
        ],
        "storage": [{"storageClass": "gp3", "perGiBMonth": "0.08"}, {"perGiBMonth": "0.1"}],
        "loadBalancers": [{"loadBalancerClass": "a/b", "hourly": "0.0225"}],
        "basePrices": [{"cpuHourly": "0.03", "memoryGiBHourly": "0.004"}],
    }


@pytest.mark.parametrize(
    "text",
    [
        "gpuModel,hourly,capacityType\nH100,2.60,spot\n",
        "gpuModel;hourly;capacityType\r\nH100;2.60;spot\r\n",
        "gpuModel\thourly\tcapacityType\nH100\t2.60\tspot",
        "\ufeffgpuModel,hourly,capacityType\nH100,2.60,spot\n",
        "GPU Model , HOURLY,capacity_type\n H100 ,2.60 , Spot \n\n,,\n",
        '"gpu-model","hourly","capacityType"\n"H100","2.60","spot"\n',
    ],
    ids=["plain", "semicolons and CRLF", "tabs", "a byte order mark", "spaces and other spellings", "quotes"],
)
def test_what_is_unambiguous_is_tolerated(text: str) -> None:
    assert spec(text)["prices"] == [{"gpuModel": "H100", "hourly": "2.60", "capacityType": "spot"}]


@pytest.mark.parametrize("word", ["on-demand", "OnDemand", "on demand", "ONDEMAND"])
def test_on_demand_may_be_spelt_as_providers_do(word: str) -> None:
    (price,) = spec(f"gpuModel,hourly,capacityType\nH100,2,{word}\n")["prices"]
    assert price["capacityType"] == "onDemand"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ["1: empty; the first line names the columns"]),
        (HEAD, ["1: no prices below"]),
        (HEAD + "a,,,,-1,\n", ["2: hourly: must not be negative"]),
        (HEAD + "a,,,,NaN,\n", ["2: hourly: not a decimal amount"]),
        (HEAD + 'a,,,,"55,04",\n', ["2: hourly: not a decimal amount"]),
        (HEAD + "a,,,,,\n", ["2: hourly: required"]),
        (HEAD + ",,,,1,\n", ["2: say what it is a price of"]),
        (HEAD + "a,b,,,1,\n", ["2: set exactly one of instanceType"]),
        (HEAD + "a,,,,1,2026-13-01\n", ["2: effectiveFrom: "]),
        (HEAD + "a,,,,1,01.11.2026\n", ["2: effectiveFrom: must be an RFC 3339 time"]),
        (HEAD + "a,,,cheap,1,\n", ["2: capacityType: must be 'onDemand', 'spot' or 'reserved'"]),
        (HEAD + "a,,,,1,\n\na,,,on-demand,2,1970-01-01\n", ["4: the same thing from the same date as in line 2"]),
        (HEAD + "a,,,,1\n", ["2: has 5 cells, the first line names 6 columns"]),
        (HEAD + "a,,,,1,,,\n", ["2: has 8 cells"]),
        ("gpuModel,price\nH100,1\n", ["1: price: unknown column", "1: columns are missing"]),
        ("gpuModel,hourly,Hourly\nH100,1,1\n", ["1: hourly: there twice"]),
        ("gpuModel,hourly,\nH100,1,\n", ["1: the 3. column without a name: unknown column"]),
        ("storageClass,perGiBMonth,zone\ngp3,1,a\n", ["2: zone: no part of a price of storage"]),
        ("gpuModel,storageClass,hourly,perGiBMonth\nH100,gp3,1,1\n", ["2: a price of one thing"]),
        ("gpuModel,hourly,currency\na,1,USD\nb,1,EUR\n", ["3: currency: is EUR, above it was USD"]),
        ("gpuModel,hourly,currency\na,1,dollar\n", ["1: spec.currency: must be an ISO 4217 code"]),
        ('gpuModel,hourly\n"a,1\n', ["1: not a CSV file"]),
        (b"gpuModel,hourly\n\xff,1\n", ["2: not UTF-8"]),
        (HEAD + "a,,,,-1,\nb,,,,x,\n", ["2: hourly", "3: hourly"]),
    ],
)
def test_every_problem_names_the_line_and_the_column(text: str | bytes, said: list[str]) -> None:
    found = problems(text)
    assert len(found) == len(said), found
    assert all(one.startswith(words) for one, words in zip(found, said, strict=True)), found


def test_the_currency_comes_from_the_file_or_from_the_caller_and_they_must_agree() -> None:
    assert spec("gpuModel,hourly,currency\na,1,EUR\n")["currency"] == "EUR"
    assert spec("gpuModel,hourly\na,1\n", currency="EUR")["currency"] == "EUR"
    assert problems("gpuModel,hourly,currency\na,1,USD\n", currency="EUR")[0].startswith("2: currency: is USD")


def test_more_prices_than_a_book_may_hold_are_refused() -> None:
    rows = "".join(f"type-{index},1\n" for index in range(2049))
    assert any("2048" in one for one in problems("instanceType,hourly\n" + rows))


amounts = st.decimals("0.000000001", 999_999_999, places=9).map(lambda value: f"{value:f}")
dates = st.sampled_from(["1970-01-01T00:00:00Z", "2026-11-01T00:00:00Z", "2026-12-31T23:59:59Z"])
words = st.text("abcXYZ019.-/ ,;\"'*é", min_size=1, max_size=12).map(str.strip).filter(lambda w: w not in {"", "*"})
places = {"region": words, "zone": words, "capacityType": st.sampled_from(["onDemand", "spot", "reserved"])}
period = {"effectiveFrom": dates, "effectiveUntil": st.just("2030-01-01T00:00:00Z")}


def items(needed: dict[str, Any], *, optional: dict[str, Any]) -> Any:
    return st.lists(st.fixed_dictionaries(needed, optional={**optional, **period}), min_size=1, max_size=5)


books = st.fixed_dictionaries(
    {
        "currency": st.sampled_from(["USD", "EUR"]),
        "prices": items({"instanceType": words, "hourly": amounts}, optional=places)
        | items({"gpuModel": words, "hourly": amounts}, optional=places),
    },
    optional={
        "storage": items({"perGiBMonth": amounts}, optional={"storageClass": words, "region": words}),
        "loadBalancers": items({"hourly": amounts}, optional={"loadBalancerClass": words, "region": words}),
        "basePrices": items({"cpuHourly": amounts, "memoryGiBHourly": amounts}, optional=places),
    },
)


@given(books)
def test_a_book_that_is_written_and_read_again_is_the_same_book(book: dict[str, Any]) -> None:
    before = price_list({"metadata": {"name": "b"}, "spec": book})
    if before.problems:  # the same thing twice: the table says so too
        assert read_csv(write_csv(book).encode()).spec is None
        return
    after = price_list({"metadata": {"name": "b"}, "spec": spec(write_csv(book))})
    assert (after.value, after.problems) == (before.value, ())


@given(st.binary(max_size=200) | st.text(',;\t\n"abgpuModelhourly0.1-', max_size=200).map(str.encode))
def test_no_file_makes_it_fail_otherwise_than_with_problems(data: bytes) -> None:
    table = read_csv(data)
    assert (table.spec is None) == bool(table.problems)
    assert all(problem.split(":")[0].isdigit() for problem in table.problems)


def test_what_has_no_place_in_a_table_is_told() -> None:
    book = {"discounts": [{"percent": "1"}], "commitments": [], "prices": [{"gpuModel": "H100", "hourly": "1"}]}
    assert left_out(book) == {"discounts": 1}
    assert write_csv(book) == "gpuModel,hourly,currency\nH100,1,USD\n"


def test_the_columns_are_those_of_the_items_and_the_currency() -> None:
    from gpucost.api import pricebook  # noqa: PLC0415

    models = (pricebook.Price, pricebook.StoragePrice, pricebook.LoadBalancerPrice, pricebook.BasePrice)
    fields = {field.alias for model in models for field in model.model_fields.values()}
    assert set(COLUMNS) == fields | {"currency"}
    assert Decimal(spec("gpuModel,hourly\na,1\n")["prices"][0]["hourly"]) == 1
