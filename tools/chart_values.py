"""The values of the Helm chart as a pydantic model, from which `values.schema.json` is generated.

What the operator itself understands is taken from its settings, so that a setting has one description and one range.
`extra="forbid"` makes Helm refuse a misspelt value by name instead of ignoring it.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.alias_generators import to_camel

from gpucost.runtime.settings import Settings

_OPTIONAL_SETTINGS = (
    "tick_seconds",
    "metrics_seconds",
    "metrics_queries",
    "report_seconds",
    "writes_per_second",
    "prometheus_window_seconds",
    "scrape",
    "scrape_selectors",
    "scrape_namespaces",
    "scrape_targets",
    "scrape_seconds",
    "scrape_most",
    "gpu_resources",
    "gpu_drivers",
    "pod_use",
    "backfill_days",
    "backfill_matchers",
    "log_format",
    "log_level",
    "currency",
    "labels",
    "lease_name",
)
"""Settings that the chart passes on as they are; it decides the others (addresses, names, URLs) itself."""


class Section(BaseModel):
    """A part of the values in which only known keys are allowed."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


def _settings_model() -> type[Section]:
    fields: dict[str, Any] = {}
    for name in _OPTIONAL_SETTINGS:
        field = Settings.model_fields[name]
        annotated = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        default = json.dumps(field.default)
        fields[name] = (annotated, Field(None, description=f"{field.description} Default: {default}."))
    return create_model("OperatorSettings", __base__=Section, **fields)


Text = Annotated[str, Field(max_length=2048)]
Free = dict[str, Any]
Name = Annotated[str, Field(max_length=253)]


class Image(Section):
    """The image of the operator."""

    repository: Text = Field(description="Registry and name of the image.")
    tag: Text = Field(description="Tag; the chart's appVersion when empty.")
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = Field(description="When the image is pulled.")


class Prometheus(Section):
    """Where utilisation is read."""

    url: Annotated[str, Field(pattern="^(https?://.+)?$")] = Field(
        description="Base URL of a PromQL engine, http:// or https://; empty: GPU exporters are asked directly."
    )


class Export(Section):
    """Daily FOCUS files for other tools."""

    url: Text = Field(description="Folder or s3://, gs://, abfs:// URL; empty: nothing is exported.")
    format: Literal["parquet", "csv", "csv.gz"] = Field(description="Format of the files.")
    granularity: Literal["day", "hour"] = Field(description="Length of a charge period.")
    account: Text = Field(description="BillingAccountId.")
    provider: Text = Field(description="ServiceProviderName: who runs the cluster for its users.")
    host_provider: Text = Field(description="HostProviderName; empty: told by the instance types.")


class SecretKey(Section):
    """A key of a Secret."""

    name: Name = Field("", description="Name of the Secret, in the namespace of the release.")
    key: Name = Field("", description="Key in the Secret.")


class Persistence(Section):
    """The volume of the ledger."""

    enabled: bool = Field(description="false keeps the ledger in an emptyDir: history is lost with the pod.")
    existing_claim: Name = Field(description="A PersistentVolumeClaim that is there already.")
    storage_class_name: Name = Field(description="Storage class; the cluster's default when empty.")
    size: Annotated[str, Field(pattern="^[1-9][0-9]*(Mi|Gi|Ti)$")] = Field(
        description="Size of the volume, such as 10Gi."
    )
    keep: bool = Field(description="Leave the claim when the release is uninstalled.")


class Ledger(Section):
    """Where costs are kept."""

    url: Text = Field(description="URL: postgresql://USER@HOST:PORT/NAME, or empty: SQLite on the volume.")
    url_secret: SecretKey = Field(description="Where the URL is kept when it holds a password; goes before url.")
    password_secret: SecretKey = Field(description="Where the password for url is kept; mounted, read at connecting.")
    tls_secret: Name = Field(description="Secret of TLS files for url, mounted at /etc/gpucost/ledger-tls.")
    retention: Annotated[str, Field(pattern="^([1-9][0-9]*d|forever)$")] = Field(
        description="How long pods are known one by one, such as 30d; older hours are kept as sums."
    )
    persistence: Persistence = Field(description="The volume of the ledger.")


class Annotations(Section):
    """Where cost annotations are written."""

    nodes: bool = Field(description="Write them on Nodes too; grants the right to patch Nodes.")


class Crds(Section):
    """The custom resource definitions."""

    enabled: bool = Field(description="Install and upgrade them with the chart.")
    keep: bool = Field(description="Leave them, and every object of their kinds, when the release is uninstalled.")


class CostApi(Section):
    """The aggregated cost API."""

    enabled: bool = Field(description="Serve it and register it at the API server.")
    loopback_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        description="Port of the plain cost API on the pod's own loopback, for kubectl port-forward; 0 turns it off."
    )


class Progress(Section):
    """Reports of training runs."""

    enabled: bool = Field(description="Take them in, and give new Jobs what they need to report.")
    logs: bool = Field(description="Grant reading the logs of pods, for jobs with spec.metrics.log.")


class Runs(Section):
    """Runs that TrainingJobs make by a calendar (`schedule.runs`)."""

    enabled: bool = Field(description="Grant creating and deleting TrainingJobs, which every run is one of.")
    config_maps: bool = Field(
        description="Grant reading single ConfigMaps, for versions of datasets and for fingerprints of runs."
    )


class ScaleTargets(Section):
    """Kinds of workloads that may be scaled."""

    api_group: str = Field(description="Their API group, such as apps.")
    resources: list[str] = Field(description="Their names in URLs, such as deployments.")


class Endpoints(Section):
    """InferenceEndpoints: what they may look at and scale."""

    scale: bool = Field(description="Grant setting replicas (mode Auto); without it endpoints only recommend.")
    pod_deletion_cost: bool = Field(
        description="Grant marking the pods that shall go (spec.podDeletionCost of an InferenceEndpoint)."
    )
    targets: list[ScaleTargets] = Field(description="Kinds whose `scale` subresource is read, and set with `scale`.")


class OpencostApi(Section):
    """The API in OpenCost's shape, which shows the costs of all namespaces."""

    enabled: bool = Field(description="Serve it, on a Service of its own.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(description="Port of its Service.")
    token_secret: SecretKey = Field(description="Secret with the bearer token that it asks for; empty: none.")
    service_labels: Free = Field(description="Labels of its Service beside the chart's.")


class Service(Section):
    """The Service in front of the operator."""

    port: Annotated[int, Field(ge=1, le=65535)] = Field(
        description="Port under which the API server reaches the cost API."
    )
    external_name: Name = Field(description="Host of an operator that runs outside the cluster; empty for one inside.")
    annotations: Free = Field(description="Annotations of the Service.")


class ServiceAccount(Section):
    """The identity of the operator."""

    create: bool = Field(description="Create it; otherwise name must be given.")
    name: Name = Field(description="Name; made from the release's name when empty.")
    annotations: Free = Field(description="Annotations, such as a cloud identity.")


class Rbac(Section):
    """The rights of the operator and of users."""

    create: bool = Field(description="Create the roles and bindings.")
    aggregate_cluster_roles: bool = Field(description="Add the new kinds to the roles view, edit and admin.")


class PodMonitor(Section):
    """How the Prometheus Operator finds the agents."""

    enabled: bool = Field(description="Create a PodMonitor; needs the definitions of the Prometheus Operator.")
    interval: Annotated[str, Field(pattern="^([1-9][0-9]*(ms|s|m))?$")] = Field(
        description="Time between scrapes, such as 15s; Prometheus' own when empty."
    )
    labels: Free = Field(description="Labels by which Prometheus selects the PodMonitor.")


class Agent(Section):
    """The node agent, for GPU nodes without dcgm-exporter."""

    enabled: bool = Field(description="Run it on the nodes that nodeSelector and affinity choose.")
    period_seconds: Annotated[float, Field(ge=1, le=300)] = Field(
        description="Time between readings, over which utilisation is averaged."
    )
    port: Annotated[int, Field(ge=1, le=65535)] = Field(description="Port of /metrics, /healthz and /readyz.")
    runtime_class_name: Name = Field(description="Runtime class under which containers see the driver, such as nvidia.")
    pod_resources_path: Annotated[str, Field(pattern="^/")] = Field(
        description="Folder of the kubelet's PodResources socket on the node."
    )
    pod_uid: bool = Field(description="Add the label pod_uid; mounts /var/log/pods read-only.")
    node_selector: Free = Field(description="Labels of the GPU nodes.")
    affinity: Free = Field(description="Affinity of the agents.")
    tolerations: list[Free] = Field(description="Taints that the agents tolerate.")
    scrape_annotations: bool = Field(description="Annotate the pods with prometheus.io/scrape, port and path.")
    pod_monitor: PodMonitor = Field(description="How the Prometheus Operator finds the agents.")
    log_format: Literal["text", "json"] = Field(description="Format of the log.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(description="Lowest level that is logged.")
    resources: Free = Field(description="Requests and limits of an agent.")
    pod_security_context: Free = Field(description="Security context of the pod.")
    security_context: Free = Field(description="Security context of the container.")
    service_account_name: Name = Field(description="Service account, of which no token is mounted; default when empty.")
    priority_class_name: Name = Field(description="Priority class of the agents.")
    pod_annotations: Free = Field(description="Annotations of the pods.")
    pod_labels: Free = Field(description="Labels of the pods.")
    extra_env: list[Free] = Field(description="Further environment variables.")
    extra_volumes: list[Free] = Field(description="Further volumes, such as the driver's libraries.")
    extra_volume_mounts: list[Free] = Field(description="Where they are mounted.")


class Values(Section):
    """Values of the gpucost chart."""

    replica_count: Annotated[int, Field(ge=0, le=3)] = Field(
        description="0: no pod, the operator runs elsewhere. More than 1 needs a ledger.url of a database server."
    )
    image: Image = Field(description="The image of the operator.")
    image_pull_secrets: list[Free] = Field(description="Secrets to pull the image with: [{name: ...}].")
    name_override: Annotated[str, Field(max_length=53)] = Field(description="Instead of the chart's name in names.")
    fullname_override: Annotated[str, Field(max_length=53)] = Field(description="Name of every object.")
    cluster_name: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        description="Name of this cluster in a ledger that several clusters share."
    )
    prometheus: Prometheus = Field(description="Where utilisation is read.")
    ledger: Ledger = Field(description="Where costs are kept.")
    export: Export = Field(description="Daily FOCUS files for other tools.")
    annotations: Annotations = Field(description="Where cost annotations are written.")
    settings: _settings_model() = Field(description="Settings of the operator, each optional.")  # type: ignore[valid-type]
    crds: Crds = Field(description="The custom resource definitions.")
    cost_api: CostApi = Field(description="The aggregated cost API.")
    progress: Progress = Field(description="Reports of training runs.")
    runs: Runs = Field(description="Runs that TrainingJobs make by a calendar.")
    endpoints: Endpoints = Field(description="InferenceEndpoints.")
    opencost_api: OpencostApi = Field(description="The API in OpenCost's shape.")
    service: Service = Field(description="The Service in front of the operator.")
    service_account: ServiceAccount = Field(description="The identity of the operator.")
    rbac: Rbac = Field(description="The rights of the operator and of users.")
    agent: Agent = Field(description="The node agent, for GPU nodes without dcgm-exporter.")
    resources: Free = Field(description="Requests and limits of the operator.")
    pod_security_context: Free = Field(description="Security context of the pod.")
    security_context: Free = Field(description="Security context of the container.")
    pod_annotations: Free = Field(description="Annotations of the pod.")
    pod_labels: Free = Field(description="Labels of the pod.")
    node_selector: Free = Field(description="Labels of the nodes the operator may run on.")
    tolerations: list[Free] = Field(description="Taints that the operator tolerates.")
    affinity: Free = Field(description="Affinity of the operator.")
    priority_class_name: Name = Field(description="Priority class of the operator.")
    extra_env: list[Free] = Field(description="Further environment variables of the operator.")
    global_: Annotated[Free, Field(alias="global", description="Values that a parent chart shares.")] = {}


def render() -> str:
    """The schema as Helm reads it."""
    schema = _tidy(Values.model_json_schema(by_alias=True))
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Values of gpucost", **schema}
    return json.dumps(schema, indent=2) + "\n"


def _tidy(node: Any) -> Any:
    """Drop generated titles and the nulls that only stand for "not given"."""
    if isinstance(node, list):
        return [_tidy(each) for each in node]
    if not isinstance(node, dict):
        return node
    drop = {"title"} if isinstance(node.get("title"), str) else set()
    if "default" in node and node["default"] is None:
        drop.add("default")
    return {key: _tidy(value) for key, value in node.items() if key not in drop}
