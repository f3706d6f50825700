"""The TrainingJob of one run: its parent's specification without the calendar, with the version that it trains on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpucost.core.clock import Instant, format_rfc3339, parse_rfc3339
from gpucost.core.training.manifest import API_VERSION, KIND, LABEL, Identity, copied_labels
from gpucost.core.training.memory import PREFIX
from gpucost.core.training.runs.calendar import run_key

SCHEDULED_BY = PREFIX + "scheduled-by"
"""Label of runs, their Jobs and pods: name of the TrainingJob whose schedule made them."""
DUE = PREFIX + "due"
BECAUSE = PREFIX + "run-reason"
_DIGITS = 8  # of a minute since 1970, until the year 2160


def child_manifest(
    parent: Identity, body: Mapping[str, Any], *, due: Instant, version: str, because: str
) -> dict[str, Any]:
    """The complete TrainingJob of one run."""
    labels = {key: value for key, value in copied_labels(parent).items() if key != LABEL}
    reference = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": parent.key.name,
        "uid": parent.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    key = run_key(parent.key, due)
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": {**labels, SCHEDULED_BY: parent.key.name},
            "annotations": {DUE: format_rfc3339(due), BECAUSE: because},
            "ownerReferences": [reference],
        },
        "spec": _spec(body, version),
    }


def _spec(body: Mapping[str, Any], version: str) -> dict[str, Any]:
    spec = {key: value for key, value in body.items() if key not in {"schedule", "suspend"}}
    rest = {key: value for key, value in (body.get("schedule") or {}).items() if key != "runs"}
    if rest.get("windows"):
        spec["schedule"] = rest
    if version and (dataset := body.get("dataset")):
        spec["dataset"] = {**{k: v for k, v in dataset.items() if k != "versionFrom"}, "version": version}
    return spec


def due_of(annotations: Mapping[str, str]) -> Instant | None:
    """When a run was due; None for what is none, or where somebody has made it unreadable."""
    try:
        return parse_rfc3339(annotations[DUE])
    except (KeyError, ValueError):
        return None


def parent_of(metadata: Mapping[str, Any]) -> tuple[str, str] | None:
    """Name and UID of the TrainingJob whose schedule made this one."""
    for reference in metadata.get("ownerReferences") or ():
        if reference.get("kind") == KIND and reference.get("controller"):
            return str(reference["name"]), str(reference["uid"])
    return None


def is_run_of(name: str, parent: str) -> bool:
    """Whether a name is that of a run of a schedule."""
    minute = name.removeprefix(f"{parent}-")
    return minute != name and len(minute) == _DIGITS and minute.isdigit()


def where_it_costs(name: str, namespace: str, run: str) -> str:
    """What to ask instead of the cost of a schedule, which never holds anything itself."""
    return (
        f"makes runs, each with a cost of its own: `kubectl cost explain tj/{run} -n {namespace}`; all together: "
        f"`kubectl cost label {SCHEDULED_BY} {name} -n {namespace}`"
    )
