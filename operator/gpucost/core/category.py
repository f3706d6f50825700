"""Which of the cost drivers a workload belongs to; the label `gpucost.dev/category` has the last word."""

from __future__ import annotations

from collections.abc import Mapping

from gpucost.core.model import Category, Gpus, Workload

LABEL = "gpucost.dev/category"
_TRAINING_KINDS = frozenset({"TrainingJob", "Job", "CronJob", "JobSet", "TrainJob", "PyTorchJob", "MPIJob", "RayJob"})
_SYSTEM_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease", "gpucost-system", "karpenter"})
_SERVING_KINDS = frozenset({"Deployment", "StatefulSet", "LeaderWorkerSet", "InferenceService", "RayService"})


def category_of(*, namespace: str, workload: Workload, labels: Mapping[str, str], gpus: Gpus) -> Category:
    """Detect the category from the label, the namespace, the kind of the owner and whether it holds GPUs."""
    if labels.get(LABEL) in set(Category):
        return Category(labels[LABEL])
    if namespace in _SYSTEM_NAMESPACES or workload.kind in {"DaemonSet", "Node"}:
        return Category.INFRASTRUCTURE
    if workload.kind in _TRAINING_KINDS:
        return Category.TRAINING
    if workload.kind in _SERVING_KINDS and gpus:
        return Category.INFERENCE
    return Category.OTHER
