"""PostgreSQL as the ledger's database: shared by clusters, restarted under us, reached over networks that break."""

from __future__ import annotations

import datetime
import ipaddress
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pg8000.native
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import text

from gpucost.core.model import Workload
from gpucost.ledger import Ledger, LedgerError, LedgerFenced
from gpucost.ledger.engine import open_engine, place_of
from gpucost.ledger.schema import metadata
from support.cutting_proxy import CuttingProxy
from support.ledger_world import at, money, node, pod, price, span
from support.postgres import PASSWORD, USER, fresh, new_server

WORLD = [node(gpus=1), price("4"), pod("a", gpus=1)]
NOW = at(5.5)


@pytest.fixture
def database(postgres):
    name = fresh(postgres)
    yield name
    postgres.drop(name)


@pytest.fixture
def url(postgres, database):
    return postgres.url(database)


@pytest.fixture(scope="module")
def own_server():
    """A server that a test may stop."""
    server = new_server()
    server.execute("CREATE DATABASE own")
    yield server
    server.remove()


def cost(ledger, until=1):
    return ledger.report(span(0, until), now=at(until)).total.cost


def test_the_migrations_make_exactly_the_tables_that_the_code_uses(url):
    engine = open_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_operators_that_start_at_once_in_an_empty_database_migrate_it_once(postgres):
    name = postgres.create()
    together = threading.Barrier(3)

    def start(cluster):
        together.wait()
        with Ledger(postgres.url(name), cluster=cluster) as ledger:
            ledger.record(WORLD)
            return cost(ledger)

    try:
        with ThreadPoolExecutor(3) as pool:
            assert list(pool.map(start, ["a", "b", "c"])) == [money("4")] * 3
    finally:
        postgres.drop(name)


def test_clusters_share_a_database_and_see_only_their_own(url):
    with Ledger(url, cluster="east") as east, Ledger(url, cluster="west") as west:
        east.record(WORLD)
        west.record([node(gpus=1), price("1")])
        east.settle(NOW)
        assert (cost(east), cost(west)) == (money("4"), money("1"))
        assert west.settled_until is None


# --- one writer -------------------------------------------------------------------------------------------------------


def test_a_former_leader_that_wakes_up_late_writes_nothing(url):
    with Ledger(url) as former:
        former.record(WORLD)
        with Ledger(url) as leader:
            with pytest.raises(LedgerFenced, match="another operator has taken over the cluster 'default'"):
                former.record([pod("late", 1, gpus=1)], marks={"observed-until": "7"})
            with pytest.raises(LedgerFenced):
                former.settle(NOW)
            assert leader.marks() == {}
            assert {fact.uid for fact in leader.open_pods()} == {"a"}
            assert leader.settled_until is None
            leader.record([pod("b", 1, gpus=1)])
            assert cost(former) == money("4")  # it may still be asked


def test_the_writer_of_one_cluster_does_not_bar_another(url):
    with Ledger(url, cluster="east") as east, Ledger(url, cluster="west") as west:
        for ledger in (east, west, east):
            ledger.record(WORLD)


def test_nothing_is_committed_once_the_lease_has_run_out(url):
    held = True
    with Ledger(url, may_write=lambda: held) as ledger:
        ledger.record(WORLD)
        held = False
        with pytest.raises(LedgerFenced, match="the Lease was not renewed in time"):
            ledger.record([pod("late", 1, gpus=1)])
        assert {fact.uid for fact in ledger.open_pods()} == {"a"}
    with pytest.raises(LedgerFenced):
        Ledger(url, may_write=lambda: False)


# --- servers and networks ---------------------------------------------------------------------------------------------


def test_a_server_that_was_restarted_is_not_even_noticed(own_server):
    with Ledger(own_server.url("own"), cluster="restarted") as ledger:
        ledger.record(WORLD)
        own_server.stop()
        own_server.start()
        ledger.record([node(end=3, gpus=1)])
        assert cost(ledger, 5) == money("12")


def test_a_server_that_is_away_is_named_and_writing_goes_on_when_it_is_back(own_server):
    with Ledger(own_server.url("own"), cluster="away") as ledger:
        ledger.record(WORLD)
        own_server.stop()
        try:
            with pytest.raises(LedgerError, match=r"cannot connect to 127\.0\.0\.1:.*start the server"):
                ledger.record([node(end=3, gpus=1)])
        finally:
            own_server.start()
        ledger.record([node(end=3, gpus=1)])
        assert cost(ledger, 5) == money("12")
        ledger.settle(NOW)
        assert ledger.conservation(NOW) == 0


def test_a_session_that_an_administrator_ends_is_made_anew(postgres, url, database):
    with Ledger(url) as ledger:
        ledger.record(WORLD)
        postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")
        ledger.record([node(end=3, gpus=1)])
        assert cost(ledger, 5) == money("12")


def test_a_transaction_that_was_overtaken_is_tried_again(postgres, url, database):
    with Ledger(url) as ledger:
        ledger.record(WORLD)
        other = pg8000.native.Connection(
            USER, host="127.0.0.1", port=postgres.port, database=database, password=PASSWORD
        )
        other.run("START TRANSACTION")
        other.run("UPDATE marks SET value = value WHERE cluster = 'default'")
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(ledger.record, [node(end=3, gpus=1)])
            waiting = "SELECT 1 FROM pg_locks WHERE NOT granted"
            while not postgres.execute(waiting):
                assert not writing.done()
            other.run("COMMIT")
            writing.result(timeout=20)
        other.close()
        assert cost(ledger, 5) == money("12")


@pytest.fixture
def proxy(postgres):
    opened = CuttingProxy(postgres.port)
    yield opened
    opened.close()


def everything(ledger):
    reports = [ledger.report(span(0.25, 5.25), now=NOW, by=by) for by in ("namespace", "workload", "pod", "node")]
    return reports, ledger.workload_totals(NOW), ledger.namespace_totals(NOW), ledger.node_totals(NOW)


@pytest.mark.parametrize("settled", [False, True])
def test_a_write_of_which_the_answer_is_lost_counts_once(postgres, database, proxy, settled):
    facts = [pod("b", 1, 3, gpus=1), price("9", 2), node(end=4.5, gpus=1)]
    with (
        Ledger(postgres.url(database).replace(str(postgres.port), str(proxy.port))) as faulty,
        Ledger(postgres.url(database), cluster="sound") as sound,
    ):
        for ledger in (faulty, sound):
            ledger.record(WORLD)
            if settled:
                ledger.settle(NOW)
            everything(ledger)  # sums are in memory now
            proxy.cut_commits = int(ledger is faulty)
            ledger.record(facts)
        assert proxy.cuts == 1
        assert everything(faulty) == everything(sound)
        assert faulty.conservation(NOW) == 0


def test_an_hour_of_which_the_settling_was_not_confirmed_is_settled_once(postgres, database, proxy):
    with Ledger(postgres.url(database).replace(str(postgres.port), str(proxy.port))) as ledger:
        ledger.record(WORLD)
        proxy.cut_commits = 2
        assert ledger.settle(NOW) == 5
        assert proxy.cuts == 2
        assert ledger.settled_until == at(5)
        ledger.record([node(end=3, gpus=1)])
        assert cost(ledger, 5) == money("12")
        assert ledger.conservation(NOW) == 0


# --- what goes in -----------------------------------------------------------------------------------------------------


def test_text_that_postgresql_cannot_store_does_not_hold_up_the_rest(url):
    with Ledger(url) as ledger:
        ledger.record(
            [node(gpus=1), replace(price("4"), source="x" * 300 + "\0"), pod("a", gpus=1, labels={"a": "\0"})]
        )
        assert cost(ledger) == money("4")
        assert ledger.report(span(0, 1), now=at(1)).quality.price_sources == ("x" * 253,)


def test_a_pod_told_twice_in_one_write_keeps_its_end(url):
    with Ledger(url) as ledger:
        ledger.record([*WORLD, pod("a", 0, 1, gpus=1), pod("a", gpus=1), price("8"), price("4")])
        assert ledger.open_pods() == []
    with Ledger(url) as again:
        shown = again.explain("research", Workload("Job", "a"), span(0, 3), now=at(3))
        assert shown.total.cost == money("4")


# --- getting in -------------------------------------------------------------------------------------------------------


def test_the_password_may_come_from_a_file_that_changes(postgres, database, tmp_path, monkeypatch):
    file = tmp_path / "password"
    monkeypatch.setenv("GPUCOST_LEDGER_PASSWORD_FILE", str(file))
    file.write_text("not yet\n")
    with pytest.raises(LedgerError, match=r"password authentication failed.*check the user and the password"):
        Ledger(postgres.url(database, password=""))
    file.write_text(f"{PASSWORD}\n")
    Ledger(postgres.url(database, password="")).close()


def test_the_password_is_never_shown(postgres, database):
    wrong = postgres.url(database, password=":hunter2")
    assert place_of(wrong) == f"postgresql://gpucost:***@127.0.0.1:{postgres.port}/{database}"
    with pytest.raises(LedgerError) as caught:
        Ledger(wrong)
    chain, error = [], caught.value
    while error is not None:
        chain.append(str(error))
        error = error.__cause__
    assert "hunter2" not in "".join(chain)
    with pytest.raises(LedgerError) as caught:
        Ledger("postgresql//gpucost:hunter2@db/gpucost")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in place_of("postgresql://db/gpucost?password=hunter2")


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("postgresql://db:5432/", "names no database; want for example postgresql://"),
        ("postgresql://db/x?sslmode=on", "sslmode=on; want one of disable, allow, prefer, require, verify-ca"),
        ("postgresql://db/x?sslmodus=require", "unknown parameter 'sslmodus'; want sslmode"),
        ("postgresql://db/x?connect_timeout=soon", "connect_timeout=soon: want whole seconds"),
        ("postgresql://db/x?sslmode=verify-full&sslrootcert=/none.pem", "TLS files of its URL cannot be read"),
        ("mysql://db/x", "a mysql cannot hold it; want for example sqlite"),
    ],
)
def test_a_url_that_makes_no_sense_says_what_would(url, remedy):
    with pytest.raises(LedgerError) as caught:
        Ledger(url)
    assert remedy in str(caught.value)


def test_a_database_that_is_missing_is_named_with_the_remedy(postgres):
    with pytest.raises(LedgerError, match=r'database "none" does not exist.*create it: CREATE DATABASE'):
        Ledger(postgres.url("none"))


def test_other_names_of_postgresql_urls_are_understood(postgres, database):
    for scheme in ("postgres", "postgresql+psycopg"):
        Ledger(postgres.url(database).replace("postgresql", scheme, 1)).close()


def test_a_unix_socket_is_reached_as_with_other_clients(postgres, database):
    where = postgres.url(database).replace(f"127.0.0.1:{postgres.port}", f":{postgres.port}")
    Ledger(f"{where}?host={postgres.folder}").close()


def certificate(folder, name):
    """A certificate for 127.0.0.1 that signs itself, and its key; both readable for the server alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.crt", folder / f"{name}.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    formats = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *formats))
    return paths


def test_tls_is_checked_as_far_as_the_url_says(postgres, own_server, tmp_path):
    ours, key = certificate(tmp_path, "ours")
    strange, _ = certificate(tmp_path, "strange")
    own_server.use_tls(ours.read_bytes(), key.read_bytes())

    def encrypted(query):
        engine = open_engine(own_server.url("own", query=query))
        try:
            with engine.connect() as connection:
                return connection.execute(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")).scalar()
        finally:
            engine.dispose()

    for query in ("", "?sslmode=require", f"?sslmode=verify-full&sslrootcert={ours}"):
        assert encrypted(query) is True, query
    assert encrypted("?sslmode=disable") is False
    for query in (f"?sslmode=verify-ca&sslrootcert={strange}", "?sslmode=verify-full"):
        with pytest.raises(LedgerError, match="give the server's root certificate by sslrootcert"):
            Ledger(own_server.url("own", query=query))
    with pytest.raises(LedgerError, match=r"refuses SSL; the server offers no TLS"):
        Ledger(postgres.url("postgres", query="?sslmode=require"))
