"""A wrong setting ends the start with one line that names the variable and the remedy."""

import pytest

from gpucost.runtime.operator import main
from gpucost.runtime.settings import Settings, address


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("GPUCOST_PROMETHEUS_URL", "prometheus:9090", "must start with http"),
        ("GPUCOST_TICK_SECONDS", "-1", "greater than 0"),
        ("GPUCOST_API_LISTEN", "9443", "must be HOST:PORT"),
        ("GPUCOST_LOOPBACK_LISTEN", "0.0.0.0:9003", "must be on loopback"),
        ("GPUCOST_SCRAPE", "sometimes", "'auto', 'always' or 'never'"),
        ("GPUCOST_SCRAPE_TARGETS", "10.0.0.7:9400", "must be URLs separated by commas"),
        ("GPUCOST_SCRAPE_MOST", "0", "greater than or equal to 1"),
        ("GPUCOST_OPENCOST_LISTEN", "9003", "must be HOST:PORT"),
        ("GPUCOST_LABELS", "team,not a label", "'not a label' is no key of a label"),
        ("GPUCOST_LOG_FORMAT", "xml", "'text' or 'json'"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_right(monkeypatch, capsys, name, value, remedy):
    monkeypatch.setenv(name, value)
    assert main() == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"gpucost operator: {name}: ")
    assert remedy in printed
    assert len(printed.splitlines()) == 1


def test_missing_credentials_are_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("GPUCOST_METRICS_LISTEN", "127.0.0.1:0")
    assert main(dry_run=True) == 2
    assert "set KUBECONFIG to an existing file" in capsys.readouterr().err


def test_labels_are_kept_by_their_keys():
    assert Settings(labels="team, app.kubernetes.io/name").kept_labels == {"team", "app.kubernetes.io/name"}
    assert Settings(labels="").kept_labels == frozenset()
    assert "cost-center" in Settings().kept_labels


def test_an_address_is_split_at_its_last_colon():
    assert address("127.0.0.1:9443") == ("127.0.0.1", 9443)
    assert address("[::1]:9443") == ("::1", 9443)


def test_the_defaults_are_valid():
    assert Settings().tick_seconds == 30
