"""What a report groups by: one row per namespace, workload, pod, node or category."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

from gpucost.core.model import NO_LABELS, Category, Workload

By = Literal["namespace", "workload", "pod", "node", "category"]
GROUPINGS: tuple[str, ...] = get_args(By)


class Holder(NamedTuple):
    """Whoever is charged, with everything that a row may be told apart by."""

    namespace: str
    workload: Workload
    category: Category
    pod: str
    node_uid: str
    node: str
    labels: Mapping[str, str] = NO_LABELS


class Group(NamedTuple):
    """Identity of a row, and what it shows."""

    key: str
    namespace: str = ""
    workload: Workload | None = None
    category: Category | None = None
    name: str = ""


def group_of(by: By, holder: Holder) -> Group:
    """The row to which a holder belongs. Keys are those of the offline allocation."""
    match by:
        case "namespace":
            return Group(holder.namespace, namespace=holder.namespace)
        case "workload":
            key = f"{holder.namespace}/{holder.workload.kind}/{holder.workload.name}"
            return Group(key, namespace=holder.namespace, workload=holder.workload, category=holder.category)
        case "pod":
            key = f"{holder.namespace}/{holder.pod}"
            return Group(key, holder.namespace, holder.workload, holder.category, holder.pod)
        case "node":
            return Group(holder.node_uid, name=holder.node)
        case "category":
            return Group(holder.category.value, category=holder.category)
    raise ValueError(f"cannot group by {by!r}; want one of {', '.join(GROUPINGS)}")
