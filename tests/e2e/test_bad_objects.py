"""Objects that slip past the schema: named, explained, and no harm to their neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from local import wait_for
from support.operator_world import GROUP, Team, costs, last_hour, micro

if TYPE_CHECKING:
    from support.live import Live

pytestmark = pytest.mark.cluster

WINDOW = {"start": "0 20 * * *", "duration": "10h"}


def without_a_volume(template: dict[str, Any]) -> dict[str, Any]:
    template["spec"]["containers"][0]["volumeMounts"] = [{"name": "nowhere", "mountPath": "/data"}]
    return template


def test_a_window_longer_than_its_period_is_invalid_and_names_the_field(team: Team) -> None:
    node = team.add_node()
    team.train("wrong", schedule={"windows": [WINDOW | {"duration": "30h"}]})
    team.train("sound")

    invalid = team.until("Invalid", "Invalid", "wrong")

    assert "spec.schedule.windows[0].duration" in invalid["message"]
    assert "at most 24h" in invalid["message"]
    assert team.find("jobs", "wrong") is None
    team.until_runs_on(node, "sound")


def test_a_calendar_that_never_fires_is_invalid_and_a_deadline_in_a_thousand_years_is_as_good_as_any(
    team: Team,
) -> None:
    node = team.add_node()
    team.train("wrong", schedule={"runs": {"cron": "0 0 30 2 *"}})
    late = {"completeBy": "2926-12-30T06:00:00Z", "expectedDuration": "2h", "placement": {"policy": "Auto"}}
    team.train("patient", **late)
    team.train("sound")

    invalid = team.until("Invalid", "Invalid", "wrong")

    assert invalid["message"] == "spec.schedule.runs.cron: '0 0 30 2 *' never fires: no month 2 has a day 30"
    team.until_runs_on(node, "sound")
    wait_for(lambda: team.find("jobs", "patient") is not None, 20, "the patient run has its Job")


def test_a_template_that_the_api_server_refuses_is_invalid_in_its_own_words(team: Team) -> None:
    node = team.add_node()
    team.train("wrong", template=without_a_volume(team.template()))
    team.train("sound")

    invalid = team.until("Invalid", "Invalid", "wrong")

    assert "volumeMounts[0].name" in invalid["message"]
    assert team.find("jobs", "wrong") is None
    team.until_runs_on(node, "sound")
    team.cluster.api.merge(team.path("trainingjobs", "wrong"), {"spec": {"template": team.template(gpus=1)}})
    team.until_runs_on(node, "wrong")


def test_a_run_that_becomes_invalid_goes_on_running(team: Team) -> None:
    node = team.add_node()
    team.train()
    team.until_runs_on(node)
    [before] = team.running()

    team.change(schedule={"windows": [WINDOW | {"duration": "30h"}]})

    team.until("Invalid", "Invalid")
    [after] = team.running()
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


# --- prices -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def books(team: Team) -> Iterator[Any]:
    """`books("name", [prices])`: PriceBooks of this team's instance type; they go with the test."""
    made = []

    def book(name: str, *prices: dict[str, Any], **spec: Any) -> str:
        name = f"{name}-{team.mark}"
        listed = [{"instanceType": f"test.{team.mark}", **price} for price in prices]
        body = {
            "apiVersion": "gpucost.dev/v1alpha1",
            "kind": "PriceBook",
            "metadata": {"name": name},
            "spec": {"prices": listed, **spec},
        }
        team.cluster.api.create(f"{GROUP}/pricebooks", body)
        made.append(name)
        return name

    yield book
    for name in made:
        team.cluster.api.delete(f"{GROUP}/pricebooks/{name}")


def told(team: Team, book: str, kind: str) -> dict[str, Any]:
    conditions = team.cluster.api.get(f"{GROUP}/pricebooks/{book}").get("status", {}).get("conditions", ())
    return next((c for c in conditions if c["type"] == kind), {})


def hourly(live: Live, team: Team) -> str | None:
    found = costs(live.api_url, team.namespace, "namespace", last_hour()[1])["items"]
    return found[0]["hourly"] if found else None


def test_a_changed_price_prices_what_runs_from_its_date_on(live: Live, team: Team, books: Any) -> None:
    node = team.add_node(hourly=None)
    name = books("prices", {"hourly": "8.00"})
    team.train(template=team.template(gpus=8))
    team.until_runs_on(node)
    wait_for(lambda: hourly(live, team) == "8.000000", 20, "the first price holds")

    since = datetime.now(UTC).replace(microsecond=0)
    old = {"instanceType": f"test.{team.mark}", "hourly": "8.00"}
    new = {**old, "hourly": "80.00", "effectiveFrom": f"{since:%Y-%m-%dT%H:%M:%SZ}"}
    team.cluster.api.merge(f"{GROUP}/pricebooks/{name}", {"spec": {"prices": [old, new]}})

    wait_for(lambda: hourly(live, team) == "80.000000", 20, "the second price holds")
    [pod] = team.running()
    bound = next(c for c in pod["status"]["conditions"] if c["type"] == "PodScheduled")["lastTransitionTime"]
    start = datetime.fromisoformat(bound.replace("Z", "+00:00"))
    wait_for(lambda: datetime.now(UTC) > since + timedelta(seconds=2), 10, "some seconds pass")
    end, window = last_hour()
    found = costs(live.api_url, team.namespace, "pod", window)
    seconds = max(0, int((since - start).total_seconds())) * 8 + int((end - max(since, start)).total_seconds()) * 80
    assert abs(micro(found["total"]["cost"]) - seconds * 10**6 / 3600) <= 1
    assert found["difference"] == "0.000000"


def test_two_books_with_one_price_say_so_and_a_book_in_another_currency_is_not_used(
    live: Live, team: Team, books: Any
) -> None:
    node = team.add_node(hourly=None)
    first = books("a", {"hourly": "8.00"})
    second = books("b", {"hourly": "9.00"})
    foreign = books("c", {"hourly": "7.00", "region": "us-east-1"}, currency="EUR")
    team.train(template=team.template(gpus=8))
    team.until_runs_on(node)

    for name, other in ((first, second), (second, first)):
        found = wait_for(lambda name=name: (c := told(team, name, "Conflict")).get("status") == "True" and c, 20)
        assert other in found["message"]
    found = wait_for(lambda: (c := told(team, foreign, "Invalid")).get("status") == "True" and c, 20, "EUR is refused")
    assert "spec.currency" in found["message"]
    wait_for(lambda: hourly(live, team) == "8.000000", 20, "the book whose name sorts first holds")


def test_a_price_that_jumps_is_held_back_until_it_is_accepted(live: Live, team: Team, books: Any) -> None:
    node = team.add_node(hourly=None)
    name = books("jump", {"hourly": "8.00"})
    team.train(template=team.template(gpus=8))
    team.until_runs_on(node)
    wait_for(lambda: hourly(live, team) == "8.000000", 20, "the first price holds")

    jumped = {"instanceType": f"test.{team.mark}", "hourly": "800"}
    team.cluster.api.merge(f"{GROUP}/pricebooks/{name}", {"spec": {"prices": [jumped]}})

    held = wait_for(lambda: (c := told(team, name, "Quarantined")).get("status") == "True" and c, 20, "it is held back")
    assert "accept-price-jump=800" in held["message"]
    assert "8.00 is in force" in held["message"]
    assert hourly(live, team) == "8.000000"

    accept = {"metadata": {"annotations": {"gpucost.dev/accept-price-jump": "800"}}}
    team.cluster.api.merge(f"{GROUP}/pricebooks/{name}", accept)
    wait_for(lambda: hourly(live, team) == "800.000000", 20, "the new price holds")
    wait_for(lambda: told(team, name, "Ready").get("status") == "True", 20, "the book is ready again")
