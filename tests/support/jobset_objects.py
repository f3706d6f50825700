"""A JobSet as the API server has it."""

from __future__ import annotations

from typing import Any

JOBSET: dict[str, Any] = {
    "apiVersion": "jobset.x-k8s.io/v1alpha2",
    "kind": "JobSet",
    "metadata": {
        "uid": "js1",
        "name": "nightly",
        "namespace": "research",
        "resourceVersion": "12",
        "creationTimestamp": "2026-11-24T18:00:00Z",
        "labels": {"kueue.x-k8s.io/queue-name": "gpus"},
        "annotations": {"gpucost.dev/placement": "spot", "somebody.else/says": "hello"},
        "managedFields": [
            {"manager": "kubectl", "time": "2026-11-24T18:00:00Z", "fieldsV1": {"f:spec": {"f:suspend": {}}}},
            {"manager": "kueue", "time": "2026-11-24T18:05:00Z", "fieldsV1": {"f:spec": {"f:suspend": {}}}},
        ],
    },
    "spec": {
        "suspend": True,
        "replicatedJobs": [
            {"name": "driver", "replicas": 1, "template": {"spec": {"template": {"spec": {"containers": [{}]}}}}},
            {
                "name": "workers",
                "replicas": 4,
                "template": {
                    "spec": {
                        "parallelism": 2,
                        "completions": 2,
                        "template": {
                            "spec": {
                                "nodeSelector": {"karpenter.sh/capacity-type": "spot"},
                                "containers": [{"resources": {"limits": {"nvidia.com/gpu": "8"}}}],
                            }
                        },
                    }
                },
            },
        ],
    },
    "status": {
        "conditions": [
            {
                "type": "Suspended",
                "status": "True",
                "reason": "SuspendedJobs",
                "lastTransitionTime": "2026-11-24T18:05:01Z",
            }
        ],
        "replicatedJobsStatus": [{"name": "workers", "active": 2}, {"name": "driver", "active": 0}],
    },
}
