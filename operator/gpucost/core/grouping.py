"""What a report groups by: one row per namespace, workload, pod, node, category or value of a label.

Several groupings joined by commas (`namespace,label:team`) make one row per combination that occurs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from gpucost.core.model import NO_LABELS, Category, NodeKind, Workload

By = str
"""One of `GROUPINGS`, `label:KEY`, or several of them joined by commas."""

GROUPINGS: tuple[str, ...] = ("namespace", "workload", "pod", "node", "category")
POD, NAMESPACE, NODE = "Pod", "Namespace", "Node"
"""Kinds that an explanation may be about beside workloads."""
ASSET = "asset"
"""Tells nodes, volumes and load balancers apart: only together with other groupings."""
LABEL = "label:"
NO_LABEL = "(none)"
"""Key of what does not have the label."""


class Holder(NamedTuple):
    """Whoever is charged, with everything that a row may be told apart by."""

    namespace: str
    workload: Workload
    category: Category
    pod: str
    node_uid: str
    node: str
    labels: Mapping[str, str] = NO_LABELS
    asset: NodeKind = NodeKind.NODE


class Group(NamedTuple):
    """Identity of a row, and what it shows."""

    key: str
    namespace: str = ""
    workload: Workload | None = None
    category: Category | None = None
    name: str = ""
    parts: tuple[str, ...] = ()
    """Names for people, one for each grouping: of a node its name, where the key has its UID."""


@cache
def dimensions(by: By) -> tuple[str, ...]:
    """The single groupings in `by`. Raises `ValueError` for one that does not exist, and for none."""
    parts = tuple(part.strip() for part in by.split(","))
    for part in parts:
        if part not in (*GROUPINGS, ASSET) and not (part.startswith(LABEL) and part != LABEL):
            raise ValueError(f"cannot group by {part!r}; want one of {', '.join(GROUPINGS)} or label:KEY")
    return parts


def group_of(by: By, holder: Holder) -> Group:
    """The row to which a holder belongs. Keys are those of the offline allocation."""
    parts = dimensions(by)
    if len(parts) == 1:
        return _single(parts[0], holder)
    groups = [_single(part, holder) for part in parts]
    return Group(
        key="/".join(group.key for group in groups),
        namespace=next((group.namespace for group in groups if group.namespace), ""),
        workload=next((group.workload for group in groups if group.workload), None),
        category=next((group.category for group in groups if group.category), None),
        name=next((group.name for group in groups if group.name), ""),
        parts=tuple(group.parts[0] for group in groups),
    )


def _single(by: str, holder: Holder) -> Group:
    match by:
        case "namespace":
            return Group(holder.namespace, namespace=holder.namespace, parts=(holder.namespace,))
        case "workload":
            name = f"{holder.workload.kind}/{holder.workload.name}"
            key = f"{holder.namespace}/{name}"
            return Group(key, holder.namespace, holder.workload, holder.category, parts=(name,))
        case "pod":
            key = f"{holder.namespace}/{holder.pod}"
            return Group(key, holder.namespace, holder.workload, holder.category, holder.pod, (holder.pod,))
        case "node":
            return Group(holder.node_uid, name=holder.node, parts=(holder.node,))
        case "category":
            return Group(holder.category.value, category=holder.category, parts=(holder.category.value,))
    value = holder.asset.value if by == ASSET else holder.labels.get(by.removeprefix(LABEL), NO_LABEL)
    return Group(value, parts=(value,))
