"""Manifests that the API server has to accept or refuse, and how to ask it."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess, run
from typing import Any

from local.programs import program

CONTAINER = {"name": "train", "image": "train:1"}
TEMPLATE = {"spec": {"containers": [CONTAINER]}}
WINDOW = {"start": "0 20 * * 1-5", "duration": "10h"}
H100 = {"gpuModel": "H100", "hourly": "6.88", "effectiveFrom": "2026-11-01T00:00:00Z"}
JOBSET = {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet"}
REMOVE = object()


class Server:
    """kubectl against the cluster, with its exit status and what it said."""

    def __init__(self, kubeconfig: Path) -> None:
        self._command = [str(program("kubectl")), "--kubeconfig", str(kubeconfig)]

    def kubectl(self, *arguments: str, text: str | None = None, check: bool = True) -> CompletedProcess[str]:
        done = run([*self._command, *arguments], input=text, capture_output=True, text=True, check=False, timeout=60)
        assert not check or done.returncode == 0, done.stderr
        return done


def create(server: Server, manifest: dict[str, Any]) -> CompletedProcess[str]:
    """Create in a dry run: every check runs, nothing is stored."""
    return server.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", text=json.dumps(manifest), check=False)


def training_job(spec: dict[str, Any], name: str = "bert") -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "gpucost.dev/v1alpha1", "kind": "TrainingJob", "metadata": metadata, "spec": spec}


def price_book(spec: dict[str, Any], name: str = "contract") -> dict[str, Any]:
    return {"apiVersion": "gpucost.dev/v1alpha1", "kind": "PriceBook", "metadata": {"name": name}, "spec": spec}


def with_template(**more: Any) -> dict[str, Any]:
    return {"template": TEMPLATE, **more}


def scheduled(**window: Any) -> dict[str, Any]:
    merged = {**WINDOW, **window}
    return with_template(schedule={"windows": [{k: v for k, v in merged.items() if v is not REMOVE}]})


def gpus(amount: Any, part: str = "limits") -> dict[str, Any]:
    container = {**CONTAINER, "resources": {part: {"nvidia.com/gpu": amount, "cpu": 4}}}
    return {"template": {"spec": {"containers": [container]}}}


def prices(*each: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"prices": list(each), **more}


def price(**fields: Any) -> dict[str, Any]:
    return prices({k: v for k, v in {**H100, **fields}.items() if v is not REMOVE})


def stopped_by(**fields: Any) -> dict[str, Any]:
    """A TrainingJob with one rule of early stopping."""
    return with_template(earlyStopping=[{"metric": "loss", **fields}])


EARLY_STOPPING = [
    {"type": "Plateau", "metric": "eval_loss", "patience": 5, "minDelta": "1e-3", "mode": "Enforce"},
    {"type": "Median", "metric": "eval_loss", "minTrials": 5, "minSteps": 100},
    {
        "type": "SuccessiveHalving",
        "metric": "accuracy",
        "goal": "Maximize",
        "group": "example.com/sweep",
        "reduction": 3,
    },
    {"type": "Target", "metric": "accuracy", "goal": "Maximize", "target": "0.92", "checkpoint": "Optional"},
    {"type": "Divergence", "metric": "loss", "restarts": 0, "grace": "1m", "warning": "30s"},
    {"type": "LearningCurve", "metric": "loss", "target": "-0.5", "maxSteps": 1000, "minGainPerCost": "0.001"},
]

GOOD_JOBS: dict[str, dict[str, Any]] = {
    "the smallest": with_template(),
    "an adopted job": {"workloadRef": {"name": "old"}},
    "an adopted JobSet": {"workloadRef": {**JOBSET, "name": "old"}},
    "a gang": with_template(workers=16, gpusPerWorker=8),
    "spot": with_template(placement={"policy": "Spot"}),
    "a schedule without a policy": scheduled(),
    "a schedule with its policy": {**scheduled(), "placement": {"policy": "Scheduled"}},
    "a time zone": with_template(schedule={"timeZone": "America/New_York", "windows": [WINDOW], "outside": "Pause"}),
    "month end": scheduled(start="0 20 31 * *"),
    "last day of the month": scheduled(start="0 20 L * *"),
    "last weekday of the month": scheduled(start="0 20 LW * *"),
    "names of days and months": scheduled(start="*/15 8-18 * jan,JUL mon-FRI"),
    "second Tuesday": scheduled(start="0 6 * * 2#2"),
    "lists, ranges and steps": scheduled(start="0,30 0-23/2 1-7,15 */3 0,6"),
    "compound duration": scheduled(duration="1h30m"),
    "eight GPUs": gpus(8),
    "eight GPUs as text": gpus("8"),
    "most GPUs": gpus(64),
    "one number of GPUs, said twice": {**gpus("8"), "gpusPerWorker": 8},
    "no GPU named": with_template(),
    "a model": with_template(model={"parameters": "7B", "tokens": "140B", "method": "QLoRA", "precision": "BF16"}),
    "a model by plain numbers": with_template(model={"parameters": "350000000", "tokens": "1.5T", "gpu": "A100-80GB"}),
    "every rule of early stopping": with_template(earlyStopping=EARLY_STOPPING),
    "idle GPUs": with_template(idle={}),
    "a budget": with_template(budget={"cost": "500", "gpuHours": "800", "mode": "Enforce", "warnAtPercent": 90}),
    "own pools": with_template(
        placement={
            "policy": "Spot",
            "spot": {"nodeSelector": {"pool": "spot"}, "tolerations": [{"key": "spot", "operator": "Exists"}]},
            "onDemand": {"nodeSelector": {"pool": "firm"}},
        }
    ),
}

BAD_JOBS: dict[str, tuple[dict[str, Any], str, str]] = {
    "neither template nor reference": ({"workers": 1}, "spec", "set exactly one of template"),
    "template and reference": (with_template(workloadRef={"name": "old"}), "spec", "set exactly one of template"),
    "no containers": ({"template": {"spec": {}}}, "spec.template.spec.containers", "Required"),
    "an empty list of containers": ({"template": {"spec": {"containers": []}}}, "spec.template.spec.containers", "1"),
    "a container without a name": (
        {"template": {"spec": {"containers": [{"image": "a"}]}}},
        "spec.template.spec.containers[0].name",
        "Required",
    ),
    "two containers of one name": (
        {"template": {"spec": {"containers": [CONTAINER, CONTAINER]}}},
        "spec.template.spec.containers[1]",
        "Duplicate",
    ),
    "zero GPUs": (gpus(0), "spec.template.spec.containers[0].resources.limits", "whole number from 1 to 64"),
    "a million GPUs": (gpus(10**6), "spec.template.spec.containers[0].resources.limits", "whole number from 1 to 64"),
    "65 GPUs": (gpus("65"), "spec.template.spec.containers[0].resources.limits", "whole number from 1 to 64"),
    "half a GPU": (gpus("500m"), "spec.template.spec.containers[0].resources.limits", "whole number from 1 to 64"),
    "negative GPUs": (gpus(-1, "requests"), "spec.template.spec.containers[0].resources.requests", "from 1 to 64"),
    "a model without tokens": (with_template(model={"parameters": "7B"}), "spec.model.tokens", "Required"),
    "a model of no size": (
        with_template(model={"parameters": "0B", "tokens": "1B"}),
        "spec.model.parameters",
        "such as 350M, 7B or 1.5T",
    ),
    "tokens in small letters": (
        with_template(model={"parameters": "7B", "tokens": "140b"}),
        "spec.model.tokens",
        "such as 350M, 7B or 1.5T",
    ),
    "an unknown method": (
        with_template(model={"parameters": "7B", "tokens": "1B", "method": "Prefix"}),
        "spec.model.method",
        "Unsupported value",
    ),
    "Auto without a deadline": (
        with_template(placement={"policy": "Auto"}, expectedDuration="20h"),
        "spec.completeBy",
        "policy Auto needs spec.completeBy",
    ),
    "a deadline that is no time": (with_template(completeBy="tomorrow"), "spec.completeBy", "date-time"),
    "one deadline for many runs": (
        with_template(completeBy="2036-12-01T06:00:00Z", schedule={"runs": {"cron": "0 20 * * *"}}),
        "spec.completeBy",
        "schedule.runs makes many runs",
    ),
    "a rule of no known type": (stopped_by(type="Luck"), "spec.earlyStopping[0].type", "Unsupported value"),
    "a rule without a metric": (with_template(earlyStopping=[{"type": "Plateau"}]), "spec.earlyStopping[0].metric", ""),
    "a target that is not said": (
        stopped_by(type="Target"),
        "spec.earlyStopping[0].target",
        "types Target and LearningCurve need target, such as '0.92'",
    ),
    "a parameter of another rule": (
        stopped_by(type="Plateau", reduction=4),
        "spec.earlyStopping[0].reduction",
        "reduction goes with type SuccessiveHalving only",
    ),
    "a target that is no number": (
        stopped_by(type="Target", target="ninety"),
        "spec.earlyStopping[0].target",
        "must be a number as a string, such as '0.92' or '1e-3'",
    ),
    "one rule twice": (
        with_template(earlyStopping=[EARLY_STOPPING[0], EARLY_STOPPING[0]]),
        "spec.earlyStopping[1]",
        "Duplicate",
    ),
    "no patience": (stopped_by(type="Plateau", patience=0), "spec.earlyStopping[0].patience", "to 1"),
    "a group that is no label": (
        stopped_by(type="Median", group="no label"),
        "spec.earlyStopping[0].group",
        "must be the key of a label, such as gpucost.dev/experiment",
    ),
    "a budget of nothing": (with_template(budget={}), "spec.budget", "set cost (money), gpuHours, or both"),
    "a budget in words": (with_template(budget={"cost": "much"}), "spec.budget.cost", "must be a decimal number"),
    "no workers": (with_template(workers=0), "spec.workers", "greater than or equal to 1"),
    "too many workers": (with_template(workers=1025), "spec.workers", "less than or equal to 1024"),
    "no GPUs per worker": (with_template(gpusPerWorker=0), "spec.gpusPerWorker", "greater than or equal to 1"),
    "too many GPUs per worker": (with_template(gpusPerWorker=10**6), "spec.gpusPerWorker", "less than or equal to 64"),
    "two numbers of GPUs": (
        {**gpus(4), "gpusPerWorker": 8},
        "spec.gpusPerWorker",
        "must equal the sum of the limits nvidia.com/gpu",
    ),
    "the code of a signal": (
        with_template(configurationErrorExitCode=143),
        "spec.configurationErrorExitCode",
        "must not be 137 or 143",
    ),
    "an unknown policy": (with_template(placement={"policy": "spot"}), "spec.placement.policy", '"Spot"'),
    "scheduled without a schedule": (
        with_template(placement={"policy": "Scheduled"}),
        "spec.schedule",
        "policy Scheduled needs spec.schedule",
    ),
    "a schedule with another policy": (
        {**scheduled(), "placement": {"policy": "Spot"}},
        "spec.schedule",
        "set that, or leave the policy out",
    ),
    "a timeout in words": (
        with_template(placement={"schedulingTimeout": "10 minutes"}),
        "spec.placement.schedulingTimeout",
        "such as 90s, 10m or 1h30m",
    ),
    "a timeout of zero": (
        with_template(placement={"schedulingTimeout": "0s"}),
        "spec.placement.schedulingTimeout",
        "above zero",
    ),
    "a window of days": (scheduled(duration="2d"), "spec.schedule.windows[0].duration", "above zero in h, m and s"),
    "a negative window": (scheduled(duration="-1h"), "spec.schedule.windows[0].duration", "above zero"),
    "a window without a duration": (scheduled(duration=REMOVE), "spec.schedule.windows[0].duration", "Required"),
    "a window without a start": (scheduled(start=REMOVE), "spec.schedule.windows[0].start", "Required"),
    "no windows": (with_template(schedule={"windows": []}), "spec.schedule.windows", "at least 1 items"),
    "too many windows": (with_template(schedule={"windows": [WINDOW] * 33}), "spec.schedule.windows", "at most 32"),
    "minute 61": (scheduled(start="61 * * * *"), "spec.schedule.windows[0].start", "minute (0-59)"),
    "hour 24": (scheduled(start="0 24 * * *"), "spec.schedule.windows[0].start", "hour (0-23)"),
    "day 32": (scheduled(start="0 0 32 * *"), "spec.schedule.windows[0].start", "day of month (1-31"),
    "month 13": (scheduled(start="0 0 1 13 *"), "spec.schedule.windows[0].start", "month (1-12"),
    "weekday 8": (scheduled(start="0 0 * * 8"), "spec.schedule.windows[0].start", "day of week (0-7"),
    "a step of zero": (scheduled(start="*/0 * * * *"), "spec.schedule.windows[0].start", "five fields"),
    "four cron fields": (scheduled(start="0 20 * *"), "spec.schedule.windows[0].start", "five fields"),
    "six cron fields": (scheduled(start="0 0 20 * * 1-5"), "spec.schedule.windows[0].start", "five fields"),
    "a cron macro": (scheduled(start="@midnight"), "spec.schedule.windows[0].start", "five fields"),
    "an unknown zone": (
        with_template(schedule={"timeZone": "Mars/Olympus", "windows": [WINDOW]}),
        "spec.schedule.timeZone",
        "must be an IANA time zone such as UTC, Europe/Berlin",
    ),
    "the zone of the server": (
        with_template(schedule={"timeZone": "Local", "windows": [WINDOW]}),
        "spec.schedule.timeZone",
        "must be an IANA time zone",
    ),
    "an offset for a zone": (
        with_template(schedule={"timeZone": "+02:00", "windows": [WINDOW]}),
        "spec.schedule.timeZone",
        "must be an IANA time zone",
    ),
    "outside in spot": (
        with_template(schedule={"windows": [WINDOW], "outside": "Spot"}),
        "spec.schedule.outside",
        'supported values: "OnDemand", "Pause"',
    ),
    "a reference to a Deployment": (
        {"workloadRef": {"kind": "Deployment", "name": "x"}},
        "spec.workloadRef.kind",
        'supported values: "Job", "JobSet"',
    ),
    "a reference to a TrainJob": (
        {"workloadRef": {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "name": "x"}},
        "spec.workloadRef.kind",
        'supported values: "Job", "JobSet"',
    ),
    "a JobSet of batch": (
        {"workloadRef": {"kind": "JobSet", "name": "x"}},
        "spec.workloadRef.apiVersion",
        "kind JobSet with apiVersion jobset.x-k8s.io/v1alpha2",
    ),
    "a reference without a name": ({"workloadRef": {}}, "spec.workloadRef.name", "Required"),
    "workers of an adopted job": (
        {"workloadRef": {"name": "old"}, "workers": 2},
        "spec.workloadRef",
        "the workload itself says them",
    ),
    "an unknown toleration": (
        with_template(placement={"spot": {"tolerations": [{"operator": "Like"}]}}),
        "spec.placement.spot.tolerations[0].operator",
        'supported values: "Exists", "Equal"',
    ),
}

BASE = {"cpuHourly": "0.03", "memoryGiBHourly": "0.004"}
GP3 = {"storageClass": "gp3", "perGiBMonth": "0.08"}
COMMITMENT = {"name": "p5", "instanceType": "p5.48xlarge", "hourly": "38.50", "count": 4}
YEAR = {"effectiveFrom": "2026-01-01T00:00:00Z", "effectiveUntil": "2027-01-01T00:00:00Z"}

GOOD_BOOKS: dict[str, dict[str, Any]] = {
    "one price": price(),
    "a price that always held": price(effectiveFrom=REMOVE),
    "an instance": price(gpuModel=REMOVE, instanceType="p5.48xlarge", region="us-east-1", capacityType="reserved"),
    "another currency": {**price(), "currency": "EUR"},
    "a price of zero": price(hourly="0"),
    "two dates": prices(H100, {**H100, "effectiveFrom": "2026-12-01T00:00:00Z"}),
    "two capacity types": prices(H100, {**H100, "capacityType": "spot"}),
    "nine decimals": price(hourly="123456789.123456789"),
    "two zones": prices(H100, {**H100, "zone": "us-east-1a"}),
    "a price for a year": price(**YEAR),
    "nothing but storage": {"storage": [GP3, {**GP3, "storageClass": "", "region": "eu-west-1"}]},
    "cores and memory": {"basePrices": [BASE, {**BASE, "capacityType": "spot"}]},
    "load balancers": {"loadBalancers": [{"hourly": "0.0225"}, {"hourly": "0.03", "loadBalancerClass": "a/b"}]},
    "discounts": {"discounts": [{"percent": "12.5"}, {"percent": "0.0001", "gpuModel": "H100", **YEAR}]},
    "commitments": {"commitments": [{**COMMITMENT, **YEAR}, {**COMMITMENT, "name": "b", "count": 1}]},
}

BAD_BOOKS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no prices": (prices(), "spec.prices", "at least 1 items"),
    "a negative price": (price(hourly="-1"), "spec.prices[0].hourly", "must not be negative"),
    "a number without quotes": (price(hourly=6.88), "spec.prices[0].hourly", "must be of type string"),
    "a price in words": (price(hourly="cheap"), "spec.prices[0].hourly", "must be a decimal number"),
    "an exponent": (price(hourly="1e3"), "spec.prices[0].hourly", "must be a decimal number"),
    "not a number": (price(hourly="NaN"), "spec.prices[0].hourly", "must be a decimal number"),
    "no price": (price(hourly=REMOVE), "spec.prices[0].hourly", "Required"),
    "of nothing": (price(gpuModel=REMOVE), "spec.prices[0]", "set exactly one of instanceType"),
    "of two things": (price(instanceType="p5.48xlarge"), "spec.prices[0]", "set exactly one of instanceType"),
    "twice from one date": (prices(H100, H100), "spec.prices[1]", "Duplicate value"),
    "twice, with defaults spelled out": (
        prices(H100, {**H100, "capacityType": "onDemand", "region": ""}),
        "spec.prices[1]",
        "Duplicate value",
    ),
    "a date without a time": (
        price(effectiveFrom="2026-11-01"),
        "spec.prices[0].effectiveFrom",
        "RFC 3339 time in UTC",
    ),
    "another zone": (
        price(effectiveFrom="2026-11-01T00:00:00+01:00"),
        "spec.prices[0].effectiveFrom",
        "must be an RFC 3339 time in UTC",
    ),
    "the thirteenth month": (
        price(effectiveFrom="2026-13-01T00:00:00Z"),
        "spec.prices[0].effectiveFrom",
        "must be an RFC 3339 time in UTC",
    ),
    "an unknown capacity type": (
        price(capacityType="Spot"),
        "spec.prices[0].capacityType",
        'supported values: "onDemand", "spot", "reserved"',
    ),
    "nothing at all": ({"currency": "USD"}, "spec", "give at least one of prices"),
    "a period that ends before it begins": (
        price(effectiveFrom="2027-01-01T00:00:00Z", effectiveUntil="2026-01-01T00:00:00Z"),
        "spec.prices[0]",
        "effectiveUntil must be later",
    ),
    "an empty period": (
        {"discounts": [{"percent": "1", **dict.fromkeys(YEAR, "2026-01-01T00:00:00Z")}]},
        "spec.discounts[0]",
        "effectiveUntil must be later",
    ),
    "cores without memory": ({"basePrices": [{"cpuHourly": "1"}]}, "spec.basePrices[0].memoryGiBHourly", "Required"),
    "a negative price of storage": (
        {"storage": [{**GP3, "perGiBMonth": "-1"}]},
        "spec.storage[0].perGiBMonth",
        "per GiB and month",
    ),
    "storage twice": ({"storage": [GP3, {**GP3, "perGiBMonth": "1"}]}, "spec.storage[1]", "Duplicate value"),
    "a discount of everything": ({"discounts": [{"percent": "100"}]}, "spec.discounts[0].percent", "below 100"),
    "a discount of nothing": ({"discounts": [{"percent": "0.0"}]}, "spec.discounts[0].percent", "above 0"),
    "a discount with its sign": ({"discounts": [{"percent": "-5"}]}, "spec.discounts[0].percent", "above 0"),
    "a discount on two things": (
        {"discounts": [{"percent": "5", "gpuModel": "H100", "instanceType": "p5.48xlarge"}]},
        "spec.discounts[0]",
        "not both",
    ),
    "a commitment to nothing": (
        {"commitments": [{"name": "a", "hourly": "1"}]},
        "spec.commitments[0]",
        "set exactly one of instanceType",
    ),
    "a commitment without a name": (
        {"commitments": [{k: v for k, v in COMMITMENT.items() if k != "name"}]},
        "spec.commitments[0].name",
        "Required",
    ),
    "a commitment to no node": (
        {"commitments": [{**COMMITMENT, "count": 0}]},
        "spec.commitments[0].count",
        "greater than or equal to 1",
    ),
    "two commitments of one name": (
        {"commitments": [COMMITMENT, COMMITMENT]},
        "spec.commitments[1]",
        "Duplicate value",
    ),
    "a currency in words": ({**price(), "currency": "dollar"}, "spec.currency", "such as USD or EUR"),
    "a currency in small letters": ({**price(), "currency": "usd"}, "spec.currency", "three capital letters"),
}


def assert_refused(result: CompletedProcess[str], field: str, words: str) -> None:
    assert result.returncode != 0, "accepted"
    causes = [line for line in result.stderr.replace(", spec", "\nspec").splitlines() if f"{field}:" in line]
    assert causes, result.stderr
    assert any(words in line for line in causes), result.stderr
