"""`kubectl cost resume`: let a run go on that was stopped, with the caller's own rights.

Nothing is asked of the operator: the stop's name goes into an annotation of the TrainingJob, or a higher limit into its
specification, and what that leads to is decided as after any other edit. So RBAC on TrainingJobs says who may resume,
and the command works while the operator is down.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from importlib import import_module
from typing import Any

import click

from gpucost.cli.failures import Failure, NotFound, NotServed
from gpucost.cli.options import current, flags
from gpucost.cli.questions import NO_PARAMETERS, TRAININGJOBS
from gpucost.core.money import parse_amount
from gpucost.core.training.stopping.spec import BUDGET
from gpucost.core.training.stopping.stop import RESUME

MANAGER = "kubectl-cost"
_LIMITS = {"cost": "--budget", "gpuHours": "--gpu-hours"}

Body = Mapping[str, Any]

EPILOG = """\b
Examples:
  kubectl cost resume bert -n research
  kubectl cost resume bert -n research --budget 800   after its budget"""


@click.command(
    "resume",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    short_help="Let a stopped training run go on.",
    epilog=EPILOG,
)
@click.argument("name")
@click.option("--budget", metavar="AMOUNT", help="New spec.budget.cost, in the currency of the prices.")
@click.option("--gpu-hours", metavar="HOURS", help="New spec.budget.gpuHours.")
@flags("namespace", "context", "kubeconfig")
def resume(name: str, budget: str | None, gpu_hours: str | None) -> None:
    """Let the TrainingJob NAME go on after early stopping, idle GPUs, its budget, or spec.suspend.

    The rule that had stopped it judges only what the run does from now on, so it does not strike again at once. A
    budget has to be raised. Needs the right to patch trainingjobs.gpucost.dev. Exit code 2 when it cannot be resumed.
    """
    options = current({"all_namespaces": "one run is resumed: leave out -A, and say its namespace with -n"})
    door: Any = import_module("gpucost.cli.cluster").ClusterDoor(options.kubeconfig, options.context)
    namespace = options.namespace or door.namespace
    path = f"{TRAININGJOBS}/namespaces/{namespace}/trainingjobs/{name}"
    limits = {
        field: _amount(flag, text)
        for (field, flag), text in zip(_LIMITS.items(), (budget, gpu_hours), strict=True)
        if text is not None
    }
    patch, words = change_of(_found(door, path, name, namespace), limits)
    if patch:
        door.merge(path, patch, manager=MANAGER)
    click.echo(f"trainingjob.gpucost.dev/{name} {words}")


def _amount(flag: str, text: str) -> str:
    try:
        if parse_amount(text) > 0:
            return text
    except ValueError:
        pass
    raise Failure(f"{flag} {text!r}: must be an amount above 0, such as 800")


def _found(door: Any, path: str, name: str, namespace: str) -> Body:
    try:
        found: Body = door.get(path, NO_PARAMETERS)
    except (NotFound, NotServed):
        message = f"the cluster knows no TrainingJob {name} in namespace {namespace}; see -n and --context"
        raise Failure(message) from None
    return found


def change_of(body: Body, limits: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """The patch that lets a run go on, and what it says; no patch when there is nothing to do. Raises `Failure`."""
    spec, status = body.get("spec") or {}, body.get("status") or {}
    stop = (status.get("earlyStopping") or {}).get("stop")
    patch: dict[str, Any] = {"metadata": {"uid": body["metadata"]["uid"]}}
    changed: dict[str, Any] = {"budget": _raised(spec, limits)} if limits else {}
    if stop is not None and not stop.get("restarts"):
        if stop["rule"] == BUDGET and not limits:
            raise Failure(_needs_limit(spec, stop))
        patch["metadata"]["annotations"] = {RESUME: stop["id"]}
    elif spec.get("suspend"):
        changed["suspend"] = False
    elif not changed:
        return {}, _nothing_to_do(status, stop)
    if spec.get("suspend"):
        changed["suspend"] = False
    if changed:
        patch["spec"] = changed
    return patch, _words(stop, changed)


def _raised(spec: Body, limits: Mapping[str, str]) -> dict[str, str]:
    old = spec.get("budget") or {}
    for field, text in limits.items():
        before = old.get(field)
        if before is None:
            raise Failure(f"{_LIMITS[field]}: the run has no limit spec.budget.{field}")
        if Decimal(text) <= Decimal(before):
            raise Failure(f"{_LIMITS[field]} {text}: the limit is {before} already; give more")
    return dict(limits)


def _needs_limit(spec: Body, stop: Body) -> str:
    limits = spec.get("budget") or {}
    field = next((one for one in _LIMITS if one in limits), "cost")
    return (
        f"its budget has stopped it ({stop['evidence']}); a higher limit lets it go on: {_LIMITS[field]} AMOUNT, "
        f"more than {limits.get(field, '0')}"
    )


def _words(stop: Body | None, changed: Body) -> str:
    said = []
    if stop is not None and not stop.get("restarts"):
        said.append(f"resumed: {stop['rule']} had stopped it at {stop['id']}")
        if "checkpointTime" in stop:
            step = f" of step {stop['checkpointStep']}" if "checkpointStep" in stop else ""
            said.append(f"it goes on from its checkpoint{step} at {stop['checkpointTime']}")
        if stop["rule"] != BUDGET:
            said.append("the rule judges what it does from now on")
    said += [f"spec.budget.{field} is {text}" for field, text in (changed.get("budget") or {}).items()]
    if "suspend" in changed:
        said.append("spec.suspend is false")
    return "; ".join(said)


def _nothing_to_do(status: Body, stop: Body | None) -> str:
    """Why there is nothing to resume; a `Failure` when it does not run all the same."""
    if stop is not None:
        return "starts again by itself from its last good checkpoint: nothing to do"
    found = {one["type"]: one for one in status.get("conditions") or ()}
    for kind in ("Complete", "Failed"):
        if found.get(kind, {}).get("status") == "True":
            raise Failure(f"it has ended ({found[kind].get('reason')}: {found[kind].get('message')})")
    suspended = found.get("Suspended", {})
    if suspended.get("status") == "True" and suspended.get("reason") not in {"Moving", "Resuming"}:
        raise Failure(f"nothing that this command resumes ({suspended.get('reason')}: {suspended.get('message')})")
    return "is not stopped: nothing to do"
