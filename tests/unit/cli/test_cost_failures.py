"""How `kubectl cost` ends badly, and what it falls back to before it does."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from gpucost.cli.commands import cost
from gpucost.cli.main import gpucost_group, kubectl_complete_cost
from gpucost.core.timeline import Interval
from gpucost.core.window import DEFAULT_WINDOW
from gpucost.web.documents import allocation_list
from gpucost.web.provider import NotReady
from unit.cli.conftest import ApiServer, CostApi, status
from unit.web.cost_example import NOW, START, ExampleProvider

Run = Callable[..., Result]
BASE = "/apis/cost.gpucost.dev/v1alpha1"
JOBS = "/apis/gpucost.dev/v1alpha1"


# --- straight to the operator -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("namespace", "--window", "soon"), "--window: not a window: 'soon'"),
        (("workload", "-l", "a b"), "-l: not a label selector"),
        (("workload", "bart", "-n", "research"), "there is: Job/sweep, TrainingJob/bert"),
        (("explain", "tj/bart", "-n", "research"), "try TrainingJob/bert"),
        (("explain", "tj/bert"), "say which namespace"),
        (("explain", "bert", "-n", "research"), "is not KIND/NAME"),
        (("-n", "a", "-A"), "exclude each other"),
        (("--sort-by", "colour"), "--sort-by"),
        (("-o", "xml"), "-o"),
        (("budget",), "No such command"),
    ],
)
def test_wrong_use_is_one_clear_message_and_exit_code_2(ask: Run, arguments: tuple[str, ...], message: str) -> None:
    result = ask(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("url", ["127.0.0.1:9003", "ftp://127.0.0.1", "http://"])
def test_an_address_that_is_no_url_is_refused(kubectl_cost: Run, url: str) -> None:
    result = kubectl_cost("--api-url", url)
    assert result.exit_code == 2
    assert "is not a URL such as http://127.0.0.1:9003" in result.stderr


def test_a_refused_connection_is_one_line(kubectl_cost: Run) -> None:
    result = kubectl_cost("--api-url", "http://127.0.0.1:1")
    assert result.exit_code == 2
    assert (
        result.stderr == "Error: nothing answers at http://127.0.0.1:1: connection refused; is the operator running?\n"
    )


def test_an_operator_that_is_not_ready_says_so(ask: Run, api: CostApi) -> None:
    api.provider.error = NotReady("the first pass is not over")
    result = ask()
    assert result.exit_code == 2
    assert "the first pass is not over" in result.stderr


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, "<html>hello</html>"), "is not the cost API"),
        ((200, "[1, 2]"), "is not the cost API"),
        ((200, '{"kind": "AllocationList", "items": 5}'), "do versions match?"),
        ((500, "oops"), "failed (500): oops"),
        ((401, "{}"), "log in again"),
    ],
)
def test_garbage_is_told_as_such(
    kubectl_cost: Run, api_server: ApiServer, answer: tuple[int, str], message: str
) -> None:
    api_server.answers[f"{BASE}/allocations"] = answer
    result = kubectl_cost("--api-url", f"http://127.0.0.1:{api_server.port}")
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


# --- through an API server --------------------------------------------------------------------------------------------


async def costs_of(namespace: str | None, by: str) -> tuple[int, str]:
    report = await ExampleProvider().report(Interval(START, NOW), by=by, namespace=namespace)
    return 200, allocation_list(report, by).model_dump_json(by_alias=True)


def jobs(*items: dict[str, object]) -> tuple[int, str]:
    return 200, json.dumps({"kind": "TrainingJobList", "items": items})


def job(name: str, namespace: str, **cost: object) -> dict[str, object]:
    shown = {"currency": "USD", "asOf": "2026-11-01T10:00:00Z", **cost}
    return {"metadata": {"name": name, "namespace": namespace}, "status": {"cost": shown} if cost else {}}


async def test_a_token_of_the_kubeconfig_is_sent(kubectl_cost: Run, api_server: ApiServer, tmp_path: Path) -> None:
    api_server.answers[f"{BASE}/allocations"] = await costs_of(None, "namespace")
    assert kubectl_cost("--kubeconfig", api_server.kubeconfig(tmp_path)).exit_code == 0
    assert api_server.seen == [(f"{BASE}/allocations", "Bearer secret-token")]


async def test_an_exec_plugin_of_the_kubeconfig_is_run(
    kubectl_cost: Run, api_server: ApiServer, tmp_path: Path
) -> None:
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "from-the-plugin"},
    }
    command = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", f"print({json.dumps(json.dumps(credential))})"],
        "interactiveMode": "Never",
    }
    api_server.answers[f"{BASE}/allocations"] = await costs_of(None, "namespace")
    kubeconfig = api_server.kubeconfig(tmp_path, user={"exec": command})
    assert kubectl_cost("--kubeconfig", kubeconfig).exit_code == 0
    assert api_server.seen[0][1] == "Bearer from-the-plugin"


async def test_workloads_are_those_of_the_contexts_namespace(
    kubectl_cost: Run, api_server: ApiServer, tmp_path: Path
) -> None:
    path = f"{BASE}/namespaces/research/allocations"
    api_server.answers[path] = await costs_of("research", "workload")
    result = kubectl_cost("workload", "--kubeconfig", api_server.kubeconfig(tmp_path, namespace="research"))
    assert result.exit_code == 0
    assert api_server.seen[0][0] == path


async def test_who_may_not_see_everything_sees_the_contexts_namespace(
    kubectl_cost: Run, api_server: ApiServer, tmp_path: Path
) -> None:
    api_server.answers[f"{BASE}/allocations"] = status(403, "ada cannot list allocations at the cluster scope")
    api_server.answers[f"{BASE}/namespaces/research/allocations"] = await costs_of("research", "namespace")
    result = kubectl_cost("namespace", "--kubeconfig", api_server.kubeconfig(tmp_path, namespace="research"))
    assert result.exit_code == 0
    assert result.stderr.startswith("Showing namespace research only: you may not list costs of all namespaces")
    assert "research" in result.stdout


def test_who_may_not_see_the_namespace_either_is_told(kubectl_cost: Run, api_server: ApiServer, tmp_path: Path) -> None:
    for within in ("", "/namespaces/default"):
        api_server.answers[f"{BASE}{within}/allocations"] = status(403, "ada cannot list allocations")
    result = kubectl_cost("--kubeconfig", api_server.kubeconfig(tmp_path))
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == "Error: ada cannot list allocations"


@pytest.mark.parametrize("missing", [(404, "404 page not found"), (503, "service unavailable\n")])
def test_without_the_cost_api_the_status_of_jobs_is_shown_and_it_says_so(
    kubectl_cost: Run, api_server: ApiServer, tmp_path: Path, missing: tuple[int, str]
) -> None:
    api_server.answers[f"{BASE}/allocations"] = missing
    api_server.answers[f"{JOBS}/trainingjobs"] = jobs(
        job("bert", "research", total="20.100000", wasted="7.839000", gpuHours="8.0", hourly="10.05", coverage="1.0"),
        job("gpt", "research", gpuHours="2.0", coverage="0.0"),
        job("llama", "vision", total="5.000000", gpuHours="1.0", coverage="1.0"),
        job("new", "vision"),
    )
    kubeconfig = api_server.kubeconfig(tmp_path)
    lines = kubectl_cost("namespace", "--kubeconfig", kubeconfig).stdout.splitlines()
    assert lines[1].split()[:4] == ["research", "10.0", "?", "$20.10+"]
    assert lines[3].split()[0] == "TOTAL"
    assert "From the status of TrainingJobs as of 2026-11-01 10:00:00 UTC" in " ".join(lines)
    assert "cost API not available" in lines[-1]
    document = json.loads(kubectl_cost("workload", "-A", "-o", "json", "--kubeconfig", kubeconfig).stdout)
    assert [(row["workload"], row["cost"]) for row in document["rows"]] == [
        ("TrainingJob/bert", "20.100000"),
        ("TrainingJob/llama", "5.000000"),
        ("TrainingJob/gpt", None),
    ]
    assert (document["source"], document["window"]) == ("TrainingJob status", None)


def test_who_may_not_list_all_jobs_gets_those_of_the_contexts_namespace(
    kubectl_cost: Run, api_server: ApiServer, tmp_path: Path
) -> None:
    api_server.answers[f"{JOBS}/trainingjobs"] = status(403, "ada cannot list trainingjobs")
    api_server.answers[f"{JOBS}/namespaces/research/trainingjobs"] = jobs(job("bert", "research", total="20.100000"))
    result = kubectl_cost("--kubeconfig", api_server.kubeconfig(tmp_path, namespace="research"))
    assert result.exit_code == 0
    assert "Showing namespace research only" in result.stderr
    assert "$20.10" in result.stdout


def test_status_totals_are_of_no_window_so_they_have_no_rate(
    kubectl_cost: Run, api_server: ApiServer, tmp_path: Path
) -> None:
    api_server.answers[f"{JOBS}/trainingjobs"] = jobs(job("bert", "research", total="20.100000"))
    result = kubectl_cost("--rate", "day", "--kubeconfig", api_server.kubeconfig(tmp_path))
    assert result.exit_code == 2
    assert "--rate needs the cost API" in result.stderr


def test_arithmetic_is_not_made_up_without_the_cost_api(
    kubectl_cost: Run, api_server: ApiServer, tmp_path: Path
) -> None:
    result = kubectl_cost("explain", "tj/bert", "--kubeconfig", api_server.kubeconfig(tmp_path))
    assert result.exit_code == 2
    assert "the arithmetic needs the cost API" in result.stderr


def test_a_cluster_without_gpucost_is_told_how_to_get_it(
    kubectl_cost: Run, api_server: ApiServer, tmp_path: Path
) -> None:
    result = kubectl_cost("--kubeconfig", api_server.kubeconfig(tmp_path))
    assert result.exit_code == 2
    assert "gpucost is not installed in this cluster" in result.stderr
    assert "helm" in result.stderr


def test_an_unreachable_cluster_is_one_line(kubectl_cost: Run, tmp_path: Path) -> None:
    result = kubectl_cost("--kubeconfig", ApiServer(port=1).kubeconfig(tmp_path))
    assert result.exit_code == 2
    assert result.stderr == "Error: cannot reach the cluster at http://127.0.0.1:1: connection refused; see --context\n"


@pytest.mark.parametrize("arguments", [(), ("--kubeconfig", "/nowhere/config"), ("--context", "other")])
def test_a_missing_kubeconfig_or_context_is_one_line(
    kubectl_cost: Run, api_server: ApiServer, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    extra = ("--kubeconfig", api_server.kubeconfig(tmp_path)) if "--context" in arguments else ()
    result = kubectl_cost(*arguments, *extra)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: no usable kubeconfig: ")
    assert len(result.stderr.splitlines()) == 1


# --- around it --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [(), *((name,) for name in sorted(cost.commands))])
def test_every_command_has_help_with_examples(kubectl_cost: Run, command: tuple[str, ...]) -> None:
    result = kubectl_cost(*command, "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    assert ("--window" in result.stdout) == (f"[default: {DEFAULT_WINDOW}]" in result.stdout)
    assert max(map(len, result.stdout.splitlines())) <= 80


def commands(group: click.Group, *names: str) -> Iterator[tuple[str, ...]]:
    yield names
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from commands(found, *names, name)
        else:
            yield (*names, name)


@pytest.mark.parametrize("command", list(commands(gpucost_group)), ids=" ".join)
def test_every_tool_has_help_with_examples(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(gpucost_group, [*command, "--help"], terminal_width=80)
    assert result.exit_code == 0
    assert "Examples:" in result.stdout or command == ("version",)
    assert max(map(len, result.stdout.splitlines())) <= 80


EVERYTHING = {"-n", "-A", "-l", "--window", "--rate", "--sort-by", "--idle", "-o", "--no-headers", "--api-url"}
REFUSED = {
    ("node",): {"-n"},
    ("idle",): {"-n", "-l", "--idle"},
    ("explain",): {"-A", "-l", "--rate", "--sort-by", "--idle"},
    ("export",): {"--rate", "--sort-by", "--idle", "-o", "--no-headers"},
    ("estimate",): {"-A", "-l", "--window", "--rate", "--sort-by", "--idle"},
    ("report", "run"): {"-A", "-l", "--window", "--rate", "--sort-by", "--idle"},
    ("simulate",): {"-A", "-l", "--window", "--rate", "--sort-by", "--idle"},
    ("savings",): {"-l", "--rate", "--sort-by", "--idle"},
    ("resume",): EVERYTHING - {"-n"},
}
ARGUMENTS = {"explain": ("tj/bert",), "estimate": ("-f", "-"), "report": ("bert",), "simulate": ("bert",)}
VALUES = {"-n": "research", "-l": "team=nlp", "--window": "24h", "--rate": "day", "--sort-by": "name", "-o": "csv"}


@pytest.mark.parametrize("command", REFUSED, ids=" ".join)
def test_help_shows_the_flags_that_a_command_has_and_the_others_are_refused_wherever_they_stand(
    kubectl_cost: Run, command: tuple[str, ...]
) -> None:
    shown = set(re.findall(r"^  (-\w|--[\w-]+)", kubectl_cost(*command, "--help").stdout, re.MULTILINE))
    assert shown & EVERYTHING == EVERYTHING - REFUSED[command]
    for flag in REFUSED[command] - {"--api-url"}:
        given = (flag, VALUES[flag]) if flag in VALUES else (flag,)
        rest = (*command, *ARGUMENTS.get(command[0], ("bert",) if command == ("resume",) else ()))
        for arguments in ((*rest, *given), (*given, *rest)):
            result = kubectl_cost(*arguments)
            assert (result.exit_code, result.stdout) == (2, "")
            assert "leave out -" in result.stderr or f"{flag} has no meaning here: leave it out" in result.stderr


def test_completion_offers_commands_and_flags(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["kubectl_complete-cost", "na"])
    kubectl_complete_cost()
    assert capsys.readouterr().out.splitlines() == ["namespace\tCost by namespace.", ":4"]
    monkeypatch.setattr(sys, "argv", ["kubectl_complete-cost", "workload", "-o", ""])
    kubectl_complete_cost()
    assert "json" in capsys.readouterr().out.splitlines()


def test_gpucost_prints_its_resources_and_writes_them(tmp_path: Path) -> None:
    printed = CliRunner().invoke(gpucost_group, ["crds"]).stdout
    written = CliRunner().invoke(gpucost_group, ["crds", "--output-dir", str(tmp_path / "new")])
    files = [Path(line) for line in written.stdout.splitlines()]
    assert sorted(files) == sorted((tmp_path / "new").iterdir())
    assert "---\n".join(path.read_text() for path in files) == printed
    assert "kind: CustomResourceDefinition" in printed


def test_gpucost_tells_its_version_and_completes() -> None:
    assert CliRunner().invoke(gpucost_group, ["version"]).stdout.startswith("gpucost ")
    assert "_GPUCOST_COMPLETE" in CliRunner().invoke(gpucost_group, ["completion", "bash"]).stdout
