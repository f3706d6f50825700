"""The kinds of the API group: their names, scope and printer columns.

Columns of priority 0 fit a terminal of 80 characters together with the namespace; the others come with `-o wide`.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from gpucost.api.inference import InferenceEndpointSpec
from gpucost.api.inference_status import InferenceEndpointStatus
from gpucost.api.pricebook import PriceBookSpec, PriceBookStatus
from gpucost.api.training import TrainingJobSpec
from gpucost.api.training_status import TrainingJobStatus

GROUP = "gpucost.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`."""

    name: str
    json_path: str
    description: str
    type: str = "string"
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """A custom resource; `about` is what `kubectl explain` says of it."""

    name: str
    plural: str
    short: str
    namespaced: bool
    spec: type[BaseModel]
    status: type[BaseModel]
    about: str
    example: str
    columns: tuple[Column, ...]

    @property
    def crd_name(self) -> str:
        """Name of the CustomResourceDefinition."""
        return f"{self.plural}.{GROUP}"


_READY = '.status.conditions[?(@.type=="Ready")].reason'
_AGE = Column("AGE", ".metadata.creationTimestamp", "Time since the object was created.", type="date")

_TRAINING_EXAMPLE = """\
apiVersion: gpucost.dev/v1alpha1
kind: TrainingJob
metadata: {name: bert, namespace: research}
spec:
  gpusPerWorker: 8
  schedule:
    timeZone: Europe/Berlin
    windows:
    - {start: "0 20 * * 1-5", duration: 10h, placement: Spot}
    outside: OnDemand
  template:
    spec:
      containers:
      - {name: train, image: "registry.example.com/bert:1", command: [torchrun, train.py]}
"""

TRAINING_JOB = Kind(
    name="TrainingJob",
    plural="trainingjobs",
    short="tj",
    namespaced=True,
    spec=TrainingJobSpec,
    status=TrainingJobStatus,
    about="A training run. It makes a Job from spec.template (or takes over an existing one), runs it on spot or "
    "on-demand nodes as spec.schedule says, and shows what it costs.",
    example=_TRAINING_EXAMPLE,
    columns=(
        Column("STATUS", _READY, "What the job does now, in one word."),
        Column("PLACEMENT", ".status.placement.current", "Capacity that the job runs on."),
        Column("GPU-H", ".status.cost.gpuHours", "GPU-hours held so far."),
        Column("COST", ".status.cost.total", "Cost so far."),
        Column("$/HOUR", ".status.cost.hourly", "Cost per hour right now."),
        _AGE,
        Column("CURRENCY", ".status.cost.currency", "Currency of the amounts.", wide=True),
        Column("SPOT", ".status.cost.spot", "Cost on spot capacity.", wide=True),
        Column("WASTED", ".status.cost.wasted", "Cost of GPUs that were held and did not compute.", wide=True),
        Column("SAVED", ".status.cost.saved", "Saved against on-demand capacity.", wide=True),
        Column("EXPECTED", ".status.estimate.cost", "Cost that was expected before it ran.", wide=True),
        Column("LOST", ".status.interruptions.count", "Losses of spot nodes.", type="integer", wide=True),
        Column("WINDOW ENDS", ".status.placement.window.end", "When the open window closes.", wide=True),
        Column("NEXT", ".status.placement.next.placement", "The next placement.", wide=True),
        Column("NEXT AT", ".status.placement.next.at", "When the placement changes next.", wide=True),
        Column("NEXT RUN", ".status.runs.next", "When the next run of the schedule is due.", wide=True),
        Column("SKIPPED", ".status.runs.skipped", "Runs that were not worthwhile.", type="integer", wide=True),
        Column("WAITING", ".status.waiting.message", "Why the job waits.", wide=True),
    ),
)

_PRICE_EXAMPLE = """\
apiVersion: gpucost.dev/v1alpha1
kind: PriceBook
metadata: {name: contract-2026}
spec:
  currency: USD
  prices:
  - {instanceType: p5.48xlarge, hourly: "55.04"}
  - {instanceType: p5.48xlarge, capacityType: spot, hourly: "20.10", effectiveFrom: "2026-11-01T00:00:00Z"}
  - {gpuModel: L4, region: us-east-1, hourly: "0.85"}
  storage:
  - {storageClass: gp3, perGiBMonth: "0.08"}
  discounts:
  - {gpuModel: A100, percent: "12.5", effectiveFrom: "2026-01-01T00:00:00Z", effectiveUntil: "2027-01-01T00:00:00Z"}
  commitments:
  - {name: p5-2026, instanceType: p5.48xlarge, count: 4, hourly: "38.50", effectiveFrom: "2026-01-01T00:00:00Z"}
"""

PRICE_BOOK = Kind(
    name="PriceBook",
    plural="pricebooks",
    short="pb",
    namespaced=False,
    spec=PriceBookSpec,
    status=PriceBookStatus,
    about="What nodes and GPUs cost per hour, by instance type or GPU model, region, capacity type and date; what "
    "storage and load balancers cost; discounts and committed use. It goes before the built-in list of public prices.",
    example=_PRICE_EXAMPLE,
    columns=(
        Column("STATUS", _READY, "Whether the prices are in use."),
        Column("CURRENCY", ".spec.currency", "Currency of the prices."),
        Column("PRICES", ".status.entries", "Number of prices in use.", type="integer"),
        _AGE,
        Column("HELD BACK", ".status.quarantined", "Number of prices that jumped.", type="integer", wide=True),
        Column("MESSAGE", '.status.conditions[?(@.type=="Ready")].message', "What is wrong, if anything.", wide=True),
    ),
)

_ENDPOINT_EXAMPLE = """\
apiVersion: gpucost.dev/v1alpha1
kind: InferenceEndpoint
metadata: {name: llama, namespace: chat}
spec:
  scaleTargetRef: {kind: Deployment, name: llama}
  runtime: vllm
  mode: Auto
  minReplicas: 2
  maxReplicas: 12
  slo: {ttftP95: 2s, objective: "99.9"}
  schedules:
  - {start: "0 8 * * 1-5", duration: 10h, timeZone: Europe/Berlin, minReplicas: 4}
"""

INFERENCE_ENDPOINT = Kind(
    name="InferenceEndpoint",
    plural="inferenceendpoints",
    short="iep",
    namespaced=True,
    spec=InferenceEndpointSpec,
    status=InferenceEndpointStatus,
    about="A model that is served by an existing workload (a Deployment, StatefulSet or anything else that can be "
    "scaled). It tells what its tokens cost and how many replicas keep its SLO, and sets that number with mode Auto.",
    example=_ENDPOINT_EXAMPLE,
    columns=(
        Column("TARGET", ".spec.scaleTargetRef.name", "The workload that serves the model."),
        Column("MODE", ".spec.mode", "Who changes the number of replicas."),
        Column("CURRENT", ".status.currentReplicas", "Replicas that the workload is set to.", type="integer"),
        Column("DESIRED", ".status.desiredReplicas", "Replicas that it should have.", type="integer"),
        Column("SLO", ".status.slo.attainment", "Per cent of the requests that were in time."),
        Column("$/HOUR", ".status.cost.hourly", "Cost per hour right now."),
        Column("$/MTOK", ".status.cost.perMillionOutputTokens", "Cost of a million output tokens."),
        _AGE,
        Column("STATUS", _READY, "Whether it works, in one word.", wide=True),
        Column("KIND", ".spec.scaleTargetRef.kind", "Kind of the workload.", wide=True),
        Column("RUNTIME", ".spec.runtime", "The inference server.", wide=True),
        Column("MIN", ".spec.minReplicas", "Fewest replicas.", type="integer", wide=True),
        Column("MAX", ".spec.maxReplicas", "Most replicas.", type="integer", wide=True),
        Column("READY", ".status.readyReplicas", "Replicas that are ready.", type="integer", wide=True),
        Column("WHY", ".status.recommendation.reason", "Why that many are recommended.", wide=True),
        Column("SAVING", ".status.recommendation.savingPerHour", "What that saves per hour.", wide=True),
        Column("START-S", ".status.readyTimeP95Seconds", "Seconds until a pod is ready.", type="integer", wide=True),
        Column("$/MTOK-IN", ".status.cost.perMillionInputTokens", "Cost of a million input tokens.", wide=True),
        Column("CURRENCY", ".status.cost.currency", "Currency of the amounts.", wide=True),
        Column("LAST SCALED", ".status.lastScaleTime", "When the number was last changed.", type="date", wide=True),
        Column("MESSAGE", '.status.conditions[?(@.type=="Ready")].message', "What is wrong, if anything.", wide=True),
    ),
)

KINDS = (TRAINING_JOB, PRICE_BOOK, INFERENCE_ENDPOINT)
