"""Which cost driver a workload belongs to, by what it is called, what it runs and who owns it."""

from __future__ import annotations

import pytest

from gpucost.core.category import category_of, program_category
from gpucost.core.model import Category, Workload

DATA, INFERENCE, INFRASTRUCTURE = Category.DATA, Category.INFERENCE, Category.INFRASTRUCTURE


@pytest.mark.parametrize(
    ("image", "category"),
    [
        ("qdrant/qdrant:v1.12.4", DATA),
        ("docker.io/milvusdb/milvus:v2.5", DATA),
        ("cr.weaviate.io/semitechnologies/weaviate:1.28", DATA),
        ("chromadb/chroma", DATA),
        ("pgvector/pgvector:pg17", DATA),
        ("docker.io/ankane/pgvector@sha256:abc", DATA),
        ("docker.elastic.co/elasticsearch/elasticsearch:8.17.0", DATA),
        ("ghcr.io/huggingface/text-embeddings-inference:1.6", DATA),
        ("vllm/vllm-openai:v0.10", INFERENCE),
        ("vllm/custom-build:1", INFERENCE),
        ("nvcr.io/nvidia/tritonserver:25.01-py3", INFERENCE),
        ("nvcr.io/nim/meta/llama-3.1-8b-instruct:1.3", INFERENCE),
        ("localhost:5000/ollama/ollama", INFERENCE),
        ("quay.io/prometheus/prometheus:v3", INFRASTRUCTURE),
        ("nvcr.io/nvidia/k8s/dcgm-exporter:4", INFRASTRUCTURE),
        ("python:3.12", None),
        ("registry.example.com/team/controller:1", None),
        ("registry.example.com/qdrant-client-app:1", None),
        ("", None),
    ],
)
def test_a_program_is_known_by_its_image(image, category):
    assert program_category([image], {}) is category


def test_the_name_label_is_better_than_the_image():
    assert program_category(["bitnami/thing:1"], {"app.kubernetes.io/name": "Qdrant"}) is DATA


def test_the_first_known_container_decides():
    assert program_category(["team/app:1", "qdrant/qdrant:1", "fluent/fluent-bit:3"], {}) is DATA


@pytest.mark.parametrize(
    ("namespace", "kind", "labels", "gpus", "program", "category"),
    [
        ("ml", "StatefulSet", {}, 0, DATA, "data"),
        ("ml", "StatefulSet", {"gpucost.dev/category": "training"}, 0, DATA, "training"),
        ("ml", "StatefulSet", {"gpucost.dev/category": "nonsense"}, 0, DATA, "data"),
        ("ml", "Deployment", {}, 1, None, "inference"),
        ("ml", "Deployment", {}, 0, None, "other"),
        ("ml", "Job", {}, 8, INFRASTRUCTURE, "training"),  # a monitoring sidecar does not make it infrastructure
        ("ml", "Job", {}, 0, DATA, "data"),
        ("ml", "Pod", {}, 0, INFERENCE, "inference"),
        ("ml", "DaemonSet", {}, 0, DATA, "infrastructure"),
        ("kube-system", "Deployment", {}, 0, None, "infrastructure"),
        ("ml", "PersistentVolumeClaim", {}, 0, None, "data"),
        ("ml", "Service", {}, 0, None, "infrastructure"),
    ],
)
def test_the_category_follows_label_program_and_owner(namespace, kind, labels, gpus, program, category):
    found = category_of(namespace=namespace, workload=Workload(kind, "x"), labels=labels, gpus=gpus, program=program)
    assert found.value == category
