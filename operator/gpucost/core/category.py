"""Which of the four cost drivers a workload belongs to; the label `gpucost.dev/category` has the last word.

What a container runs tells more than the kind of its owner: a StatefulSet may be a vector database or a model server.
So the order is: the label; the system's own namespaces and kinds; a known program, by image or by
`app.kubernetes.io/name`; the owner's kind. A program of the infrastructure that holds GPUs is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from gpucost.core.model import Category, Gpus, Workload

LABEL = "gpucost.dev/category"
NAME_LABEL = "app.kubernetes.io/name"

_BY_VALUE: Mapping[str, Category] = {category.value: category for category in Category}
_TRAINING_KINDS = frozenset(
    {"TrainingJob", "Job", "CronJob", "JobSet", "TrainJob", "PyTorchJob", "TFJob", "MPIJob", "XGBoostJob", "RayJob"}
)
_SERVING_KINDS = frozenset(
    {"Deployment", "Rollout", "StatefulSet", "LeaderWorkerSet", "InferenceService", "RayService"}
)
_SYSTEM_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease", "gpucost-system", "karpenter"})

_PROGRAMS: Mapping[Category, str] = {
    Category.DATA: """
        qdrant milvus weaviate chroma chromadb pgvector pgvecto-rs vespa vald marqo lancedb elasticsearch opensearch
        redis-stack redis-stack-server typesense
        text-embeddings-inference infinity-emb infinity
        airflow argoexec workflow-controller spark spark-operator kafka flink minio label-studio
    """,  # vector databases and search; embeddings; pipelines
    Category.INFERENCE: """
        vllm vllm-openai sglang tritonserver triton-inference-server text-generation-inference tgi ollama llama.cpp
        lmdeploy tensorrt-llm torchserve tensorflow-serving kserve-huggingfaceserver nim litellm
    """,
    Category.INFRASTRUCTURE: """
        prometheus alertmanager grafana loki promtail alloy tempo mimir thanos node-exporter kube-state-metrics
        dcgm-exporter metrics-server opentelemetry-collector otelcol fluent-bit fluentd vector jaeger opencost
        ingress-nginx ingress-nginx-controller controller nginx-ingress traefik haproxy envoy istio-proxy proxyv2
        aws-load-balancer-controller cert-manager external-dns coredns cilium calico-node kube-proxy
        cluster-autoscaler karpenter k8s-device-plugin gpu-feature-discovery gpu-operator kueue jobset argocd gpucost
    """,  # monitoring and logging; load balancing; the cluster itself
}
"""Names of programs: the last part of an image, or the value of `app.kubernetes.io/name`."""

_KNOWN: Mapping[str, Category] = {name: category for category, names in _PROGRAMS.items() for name in names.split()}
_AMBIGUOUS = frozenset({"controller", "vector", "infinity", "nim", "tempo", "spark", "alloy"})
"""Words that images of other programs bear as well; they count as a name label only."""

_NIM = re.compile(r"(^|/)nvcr\.io/nim/|^nim/")


def program_category(images: Iterable[str], labels: Mapping[str, str]) -> Category | None:
    """The category of a known program that a pod runs; None when none is known.

    Where containers differ, the first decides: those after it are sidecars, as a rule.
    """
    if (named := _KNOWN.get(labels.get(NAME_LABEL, "").lower())) is not None:
        return named
    return next((found for image in images if (found := _image_category(image)) is not None), None)


def _image_category(image: str) -> Category | None:
    """`docker.io/qdrant/qdrant:v1.12` is a vector database; tag and digest do not matter."""
    path = image.partition("@")[0].lower()
    head, _, last = path.rpartition("/")
    name = last.partition(":")[0]
    if _NIM.search(f"{head}/"):
        return Category.INFERENCE
    words = [name, *(head.split("/")[-1:] if name not in _KNOWN else ())]
    return next((_KNOWN[word] for word in words if word in _KNOWN and word not in _AMBIGUOUS), None)


def category_of(
    *, namespace: str, workload: Workload, labels: Mapping[str, str], gpus: Gpus, program: Category | None = None
) -> Category:
    """Detect the category from the label, the program, the namespace, the owner's kind and whether it holds GPUs."""
    if (told := _BY_VALUE.get(labels.get(LABEL, ""))) is not None:
        return told
    if namespace in _SYSTEM_NAMESPACES or workload.kind in {"DaemonSet", "Node", "Service"}:
        return Category.INFRASTRUCTURE
    if program is not None and (program is not Category.INFRASTRUCTURE or not gpus):
        return program
    return _by_owner(workload.kind, gpus)


def _by_owner(kind: str, gpus: Gpus) -> Category:
    if kind == "PersistentVolumeClaim":
        return Category.DATA
    if kind in _TRAINING_KINDS:
        return Category.TRAINING
    return Category.INFERENCE if kind in _SERVING_KINDS and gpus else Category.OTHER
