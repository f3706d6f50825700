"""URL paths of the resources in use."""

from __future__ import annotations

GROUP = "gpucost.dev"
VERSION = "v1alpha1"

PODS = "/api/v1/pods"
NODES = "/api/v1/nodes"
JOBS = "/apis/batch/v1/jobs"
NAMESPACES = "/api/v1/namespaces"
VOLUMES = "/api/v1/persistentvolumes"
CLAIMS = "/api/v1/persistentvolumeclaims"
SERVICES = "/api/v1/services"
NODE_CLAIMS = "/apis/karpenter.sh/v1/nodeclaims"
EVENTS = "/api/v1/events"
DEVICE_API = "/apis/resource.k8s.io/v1"
DEVICE_CLAIMS = f"{DEVICE_API}/resourceclaims"
DEVICE_SLICES = f"{DEVICE_API}/resourceslices"
TRAININGJOBS = f"/apis/{GROUP}/{VERSION}/trainingjobs"
PRICEBOOKS = f"/apis/{GROUP}/{VERSION}/pricebooks"
INFERENCEENDPOINTS = f"/apis/{GROUP}/{VERSION}/inferenceendpoints"
AUTOSCALERS = "/apis/autoscaling/v2"
KEDA = "/apis/keda.sh/v1alpha1"


JOBSET_API = "/apis/jobset.x-k8s.io/v1alpha2"
QUEUE_APIS = ("/apis/kueue.x-k8s.io/v1beta2", "/apis/kueue.x-k8s.io/v1beta1")
"""Versions of Kueue's API that are known, the newest first."""


def api(version: str) -> str:
    """The root of an API version, such as `apps/v1`, or `v1` of the core group."""
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def workload(api_version: str, namespace: str, name: str) -> str:
    """A Workload of Kueue."""
    return f"/apis/{api_version}/namespaces/{namespace}/workloads/{name}"


def jobset(namespace: str, name: str = "") -> str:
    """A JobSet."""
    return _item(f"{JOBSET_API}/namespaces/{namespace}/jobsets", name)


def job(namespace: str, name: str = "") -> str:
    """A Job, or the collection to create one in."""
    return _item(f"/apis/batch/v1/namespaces/{namespace}/jobs", name)


def service(namespace: str, name: str = "") -> str:
    """A Service, or the collection to create one in."""
    return _item(f"/api/v1/namespaces/{namespace}/services", name)


def event(namespace: str, name: str = "") -> str:
    """An Event (events.k8s.io/v1), or the collection to create one in."""
    return _item(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", name)


def lease(namespace: str, name: str = "") -> str:
    """A Lease, or the collection to create one in."""
    return _item(f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases", name)


def secret(namespace: str, name: str = "") -> str:
    """A Secret, or the collection to create one in."""
    return _item(f"/api/v1/namespaces/{namespace}/secrets", name)


def pod_log(namespace: str, name: str) -> str:
    """The log of a pod."""
    return f"/api/v1/namespaces/{namespace}/pods/{name}/log"


def namespace(name: str) -> str:
    """A Namespace."""
    return f"{NAMESPACES}/{name}"


def node(name: str) -> str:
    """A Node."""
    return f"{NODES}/{name}"


def trainingjob(namespace: str, name: str = "") -> str:
    """A TrainingJob, or the collection to create one in; append `/status` for its status."""
    return _item(f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/trainingjobs", name)


def inferenceendpoint(namespace: str, name: str = "") -> str:
    """An InferenceEndpoint, or their collection; append `/status` for its status."""
    return _item(f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/inferenceendpoints", name)


def pods(namespace: str) -> str:
    """The pods of a namespace."""
    return f"/api/v1/namespaces/{namespace}/pods"


def config_map(namespace: str, name: str) -> str:
    """A ConfigMap."""
    return f"/api/v1/namespaces/{namespace}/configmaps/{name}"


def claim(namespace: str, name: str) -> str:
    """A PersistentVolumeClaim."""
    return f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}"


def pricebook(name: str) -> str:
    """A PriceBook; append `/status` for its status."""
    return f"{PRICEBOOKS}/{name}"


def _item(collection: str, name: str) -> str:
    return f"{collection}/{name}" if name else collection
