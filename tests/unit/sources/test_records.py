"""The slim records hold what the API server said, in exact units and times."""

from gpucost.core.clock import parse_rfc3339
from gpucost.core.model import Resources, Waiting
from gpucost.sources.records import job_record, last_touched, node_record, pod_record, pod_requests

GIB = 1024**3


def pod(**status):
    return {
        "metadata": {
            "uid": "u1",
            "name": "bert-0",
            "namespace": "research",
            "creationTimestamp": "2026-11-01T00:00:00Z",
            "labels": {"gpucost.dev/team": "nlp", "unrelated": "x"},
            "ownerReferences": [
                {"kind": "Job", "name": "bert", "uid": "j1", "apiVersion": "batch/v1", "controller": True}
            ],
        },
        "spec": {
            "nodeName": "gpu-0",
            "containers": [{"name": "t", "resources": {"limits": {"nvidia.com/gpu": "4", "cpu": "500m"}}}],
        },
        "status": status,
    }


def scheduled(when="2026-11-01T00:00:07Z"):
    return [{"type": "PodScheduled", "status": "True", "lastTransitionTime": when}]


def terminated(when):
    return {"state": {"terminated": {"exitCode": 0, "finishedAt": when}}}


def test_a_pod_holds_its_request_from_the_moment_it_is_bound():
    record = pod_record(pod(phase="Pending", conditions=scheduled()))
    assert record.bound == parse_rfc3339("2026-11-01T00:00:07Z")
    assert record.ended is None
    assert record.requests == Resources(cpu_milli=500, gpus=4)
    assert record.labels == {"gpucost.dev/team": "nlp"}
    assert record.owner is not None
    assert record.owner.uid == "j1"


def test_labels_that_reports_may_group_by_are_kept():
    body = pod(phase="Running")
    assert pod_record(body, frozenset({"unrelated"})).labels == {"gpucost.dev/team": "nlp", "unrelated": "x"}
    body["metadata"]["labels"] = {"team": "nlp", "other": "x"}
    assert pod_record(body).labels == {"team": "nlp"}


def test_a_pod_that_names_its_node_itself_is_bound_from_its_creation():
    assert pod_record(pod(phase="Pending")).bound == parse_rfc3339("2026-11-01T00:00:00Z")


def test_a_pod_without_a_node_holds_nothing_and_says_why_it_waits():
    body = pod(
        phase="Pending",
        conditions=[
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
                "lastTransitionTime": "2026-11-01T00:00:01Z",
            }
        ],
    )
    del body["spec"]["nodeName"]
    record = pod_record(body)
    assert record.bound is None
    assert record.waiting == Waiting(
        "Unschedulable",
        "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
        parse_rfc3339("2026-11-01T00:00:01Z"),
    )


def test_a_finished_pod_ended_with_its_last_container():
    body = pod(
        phase="Succeeded",
        conditions=scheduled(),
        containerStatuses=[terminated("2026-11-01T01:00:00Z"), terminated("2026-11-01T01:00:30Z")],
    )
    assert pod_record(body).ended == parse_rfc3339("2026-11-01T01:00:30Z")


def test_a_restarting_container_does_not_release_the_gpu():
    body = pod(phase="Running", conditions=scheduled(), containerStatuses=[terminated("2026-11-01T01:00:00Z")])
    assert pod_record(body).ended is None


def test_a_deleted_pod_ends_when_all_its_containers_have_even_before_it_is_removed():
    body = pod(phase="Running", conditions=scheduled(), containerStatuses=[terminated("2026-11-01T01:00:00Z")])
    body["metadata"]["deletionTimestamp"] = "2026-11-01T01:00:30Z"
    assert pod_record(body).ended == parse_rfc3339("2026-11-01T01:00:00Z")


def test_a_deleted_pod_with_a_running_container_still_holds_its_gpus():
    body = pod(
        phase="Running",
        conditions=scheduled(),
        containerStatuses=[terminated("2026-11-01T01:00:00Z"), {"state": {"running": {}}}],
    )
    body["metadata"]["deletionTimestamp"] = "2026-11-01T01:00:30Z"
    assert pod_record(body).ended is None


def test_a_failed_pod_without_container_times_ended_with_its_last_condition():
    body = pod(phase="Failed", conditions=scheduled("2026-11-01T02:00:00Z"))
    assert pod_record(body).ended == parse_rfc3339("2026-11-01T02:00:00Z")


def test_pulling_an_image_is_told_in_the_kubelets_words():
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    record = pod_record(pod(phase="Pending", conditions=scheduled(), containerStatuses=[waiting]))
    assert record.bound is not None
    assert record.waiting is not None
    assert record.waiting.reason == "ImagePullBackOff"


def test_the_effective_request_is_the_larger_of_init_and_running_containers_plus_overhead():
    def needs(cpu, **more):
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "initContainers": [needs("3"), needs("500m", restartPolicy="Always"), needs("1")],
        "containers": [needs("1"), needs("250m")],
        "overhead": {"cpu": "100m", "memory": "1Gi"},
    }
    # Init containers peak at 3 (before the sidecar started); running: 1 + 0.25 + 0.5 sidecar = 1.75.
    assert pod_requests(spec) == Resources(cpu_milli=3100, memory=GIB)


def test_requests_win_over_limits_and_limits_stand_in_for_missing_requests():
    spec = {"containers": [{"resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "4", "memory": "2Gi"}}}]}
    assert pod_requests(spec) == Resources(cpu_milli=1000, memory=2 * GIB)


def test_a_malformed_quantity_counts_as_nothing_of_that_resource_only():
    spec = {"containers": [{"resources": {"requests": {"cpu": "lots", "memory": "1Gi"}}}]}
    assert pod_requests(spec) == Resources(memory=GIB)


def test_a_node_keeps_the_labels_that_matter_for_price_and_placement():
    record = node_record(
        {
            "metadata": {
                "uid": "n1",
                "name": "gpu-0",
                "creationTimestamp": "2026-11-01T00:00:00Z",
                "labels": {
                    "node.kubernetes.io/instance-type": "p5.48xlarge",
                    "karpenter.sh/capacity-type": "spot",
                    "beta.example/x": "y",
                },
                "annotations": {"gpucost.dev/hourly-price": "12.5"},
            },
            "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]},
            "status": {
                "capacity": {"cpu": "192", "memory": "2048Gi", "nvidia.com/gpu": "8"},
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }
    )
    assert record.capacity == Resources(192_000, 2048 * GIB, 8)
    assert set(record.labels) == {"node.kubernetes.io/instance-type", "karpenter.sh/capacity-type"}
    assert record.price_annotation == "12.5"
    assert record.ready
    assert record.taints == ("a=:NoSchedule",)


def test_a_job_record_keeps_conditions_placement_and_our_annotations_only():
    record = job_record(
        {
            "metadata": {
                "uid": "j1",
                "name": "bert",
                "namespace": "research",
                "creationTimestamp": "2026-11-01T00:00:00Z",
                "resourceVersion": "42",
                "annotations": {"gpucost.dev/placement": "spot", "kubectl": "x"},
                "labels": {"kueue.x-k8s.io/queue-name": "gpus"},
                "managedFields": [
                    {
                        "manager": "gpucost",
                        "time": "2026-11-01T00:00:00Z",
                        "fieldsV1": {"f:spec": {"f:parallelism": {}, "f:suspend": {}}},
                    },
                    {
                        "manager": "kubectl-patch",
                        "time": "2026-11-01T00:00:30Z",
                        "fieldsV1": {"f:spec": {"f:suspend": {}}},
                    },
                    {"manager": "kcm", "time": "2026-11-01T00:01:00Z", "fieldsV1": {"f:status": {}}},
                ],
            },
            "spec": {
                "suspend": True,
                "parallelism": 2,
                "template": {"spec": {"nodeSelector": {"karpenter.sh/capacity-type": "spot"}}},
            },
            "status": {
                "terminating": 1,
                "conditions": [
                    {
                        "type": "Suspended",
                        "status": "True",
                        "reason": "JobSuspended",
                        "lastTransitionTime": "2026-11-01T00:01:00Z",
                    }
                ],
            },
        }
    )
    assert record.suspend
    assert record.completions == 2
    assert record.terminating == 1
    assert record.annotations == {"gpucost.dev/placement": "spot"}
    assert record.queue == "gpus"
    assert record.suspend_manager == "kubectl-patch"
    assert record.condition("Suspended") is not None
    assert record.condition("Complete") is None


def test_the_last_touch_of_a_deleted_object_is_the_latest_time_that_it_proves():
    body = {
        "metadata": {
            "creationTimestamp": "2026-11-01T00:00:00Z",
            "deletionTimestamp": "2026-11-01T03:00:30Z",
            "deletionGracePeriodSeconds": 30,
            "managedFields": [{"time": "2026-11-01T02:00:00Z"}],
        },
        "status": {"conditions": [{"lastHeartbeatTime": "2026-11-01T02:30:00Z"}]},
    }
    assert last_touched(body) == parse_rfc3339("2026-11-01T03:00:00Z")
