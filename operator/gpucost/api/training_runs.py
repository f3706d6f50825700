"""What a run is made from and when runs are made: `spec.dataset`, `baseModel`, `deduplication`, `schedule.runs`."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from gpucost.api.fields import ApiModel, Cron, DecimalText, Duration, Moment, Number, rule, rules
from gpucost.core.clock import parse_duration
from gpucost.core.training.runs import spec as core

_ENV = r"^[A-Za-z_*][A-Za-z0-9_.*-]{0,127}$"
_ENV_MESSAGE = "must be the name of an environment variable, with * for any characters, such as RUN_* or TRACE_ID"


def _env(text: str) -> str:
    if not re.fullmatch(_ENV, text) or not text.strip("*"):
        raise ValueError(_ENV_MESSAGE)
    return text


IgnoredEnv = Annotated[
    tuple[
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=128,
                json_schema_extra=rules(rule(f"self.matches('{_ENV}') && self.matches('[^*]')", _ENV_MESSAGE)),
            ),
            AfterValidator(_env),
        ],
        ...,
    ],
    Field(max_length=32, json_schema_extra={"x-kubernetes-list-type": "set"}),
]
"""Names of variables that say nothing about a run's result."""

_Text = Annotated[str, Field(min_length=1, max_length=253)]

# --- what a run is made from ------------------------------------------------------------------------------------------

DATASET = """\
What the run trains on. Runs are told apart by the version: without one, no run counts as known already. The version \
is given here, or stands in a ConfigMap or at a claim (`versionFrom`); with neither it is the annotation \
`gpucost.dev/dataset-version` of the TrainingJob, which a data pipeline can set. Example:

dataset:
  name: clicks
  versionFrom:
    configMap: {name: datasets, key: clicks}"""
BASE_MODEL = """\
The model that the run begins with, for fine-tuning. Example: `{name: meta-llama/Llama-3.1-8B, revision: 0e9e39f}`."""
SEED = "Seed of the random numbers, such as 42: two runs with different seeds are different runs."
DEDUPLICATION = """\
What happens when this very run is known already, by the digest of image, command, arguments, environment, resources, \
dataset version, base model revision and seed, in the same namespace. Off: nothing. Warn: it starts, and an Event and \
the condition Duplicate name the earlier run, its cost and its result; so they do when the last two ended in failure. \
Reuse: it does not start; it is Complete with reason Reused and points to the earlier run, and after two failures it \
is Failed with reason FailedTwice. Runs without a dataset version, or with an image without a digest, are never taken \
for known."""
IGNORED = """\
Further environment variables that say nothing about a run's result, with `*` for any characters. Names of runs, pods \
and credentials (HOSTNAME, POD_NAME, WANDB_*, HF_TOKEN, ...) are left out anyway. Example: `[TRACE_ID, RUN_*]`."""


class ConfigMapKey(ApiModel):
    """A key of a ConfigMap."""

    name: _Text = Field(description="Name of the ConfigMap, in the namespace of the TrainingJob, such as datasets.")
    key: _Text = Field("version", description="Key whose value is the version, such as clicks.")


class ClaimAnnotation(ApiModel):
    """An annotation of a PersistentVolumeClaim."""

    name: _Text = Field(description="Name of the claim, in the namespace of the TrainingJob, such as clicks-data.")
    annotation: Annotated[str, Field(min_length=1, max_length=317)] = Field(
        core.VERSION_ANNOTATION, description="Annotation whose value is the version."
    )


_ONE_SOURCE = "set exactly one of configMap and claim"


class VersionFrom(ApiModel):
    """Where the version of a dataset stands."""

    model_config = ConfigDict(json_schema_extra=rules(rule("has(self.configMap) != has(self.claim)", _ONE_SOURCE)))

    config_map: ConfigMapKey | None = Field(
        None, description="A key of a ConfigMap. Example: `{name: datasets, key: clicks}`."
    )
    claim: ClaimAnnotation | None = Field(
        None, description="An annotation of a PersistentVolumeClaim. Example: `{name: clicks-data}`."
    )

    @model_validator(mode="after")
    def _one(self) -> VersionFrom:
        if (self.config_map is None) == (self.claim is None):
            raise ValueError(_ONE_SOURCE)
        return self


_ONE_VERSION = "version and versionFrom say the same thing: set one of them"


class Dataset(ApiModel):
    """What a run trains on."""

    model_config = ConfigDict(
        json_schema_extra=rules(rule("!(has(self.version) && has(self.versionFrom))", _ONE_VERSION))
    )

    name: _Text = Field(description="Name of the dataset, such as clicks.")
    version: _Text | None = Field(None, description="Its version: a date, a commit, a digest. Example: `2026-11-20`.")
    version_from: VersionFrom | None = Field(
        None, description="Where the version stands, instead of `version`; read when a run is due or made."
    )

    @model_validator(mode="after")
    def _one(self) -> Dataset:
        if self.version is not None and self.version_from is not None:
            raise ValueError(_ONE_VERSION)
        return self


class BaseModelRef(ApiModel):
    """The model that a run begins with."""

    name: _Text = Field(description="Name of the model, such as meta-llama/Llama-3.1-8B.")
    revision: _Text | None = Field(None, description="Commit, tag or digest of the model, such as 0e9e39f.")


# --- when runs are made -----------------------------------------------------------------------------------------------

RUNS = """\
Makes runs by a calendar: each is a TrainingJob `NAME-MINUTE` of its own with this specification, and never two at \
once. A run that is due starts only when it is worthwhile: when the version of `spec.dataset` is another one than that \
of the last run that trained, or when the query `quality` is beyond its limit. Otherwise it is skipped, and what that \
saved is booked. With neither of the two every run that is due starts. Example:

schedule:
  timeZone: Europe/Berlin
  runs:
    cron: "0 2 * * *"
    quality: {query: 'min(model_accuracy{model="clicks"})', below: "0.92"}"""

_ONE_LIMIT = "set exactly one of below and above"


class Quality(ApiModel):
    """How good the present model is."""

    model_config = ConfigDict(json_schema_extra=rules(rule("has(self.below) != has(self.above)", _ONE_LIMIT)))

    query: Annotated[str, Field(min_length=1, max_length=1024)] = Field(
        description="PromQL query with one value, asked when a run is due; needs `prometheus.url` in the chart. "
        'Example: `min(model_accuracy{model="clicks"})`.'
    )
    below: Number | None = Field(None, description="A run is worthwhile when the value is under it, such as '0.92'.")
    above: Number | None = Field(
        None, description="A run is worthwhile when the value is over it, for losses and error rates, such as '0.05'."
    )

    @model_validator(mode="after")
    def _one(self) -> Quality:
        if (self.below is None) == (self.above is None):
            raise ValueError(_ONE_LIMIT)
        return self


class Runs(ApiModel):
    """When runs are made."""

    cron: Cron = Field(
        description="When a run is due: a cron expression of five fields in `schedule.timeZone`. Examples: `0 2 * * *` "
        "at 02:00 every night, `30 6 * * MON` at 06:30 on Mondays."
    )
    starting_deadline: Duration = Field(
        "1h",
        description="How long after its time a run may still start: after a failure, while an earlier one runs, or "
        "while nobody knows whether it is worthwhile. Of several runs that were missed at most the last one starts.",
    )
    quality: Quality | None = Field(
        None, description="How good the present model is; a run is worthwhile when it is beyond the limit."
    )
    at_least_every: Duration | None = Field(
        None,
        description="A run that is due is worthwhile whatever else is known, or unknown, when the last one that "
        "trained was due so long ago, such as `720h`. Left out, only the dataset and `quality` count.",
    )
    successful_runs_history_limit: Annotated[int, Field(ge=1, le=100)] = Field(
        3, description="How many runs that ended well are kept; older ones are deleted, their cost is not forgotten."
    )
    failed_runs_history_limit: Annotated[int, Field(ge=0, le=100)] = Field(
        1, description="How many runs that ended in failure are kept."
    )


# --- status -----------------------------------------------------------------------------------------------------------

Count = Annotated[int, Field(ge=0)]
_Name = Annotated[str, Field(max_length=253)]
_Word = Annotated[str, Field(max_length=64)]


class LastRun(ApiModel):
    """The run that was made last."""

    name: _Name = Field(description="Name of its TrainingJob.")
    due: Moment = Field(description="When it was due.")
    result: _Word = Field(description="Running, Complete, EarlyStopped, Failed, ...; Gone when it was deleted.")
    reason: _Word | None = Field(None, description="Why it was worthwhile: DatasetChanged, QualityLow, ...")
    dataset_version: _Name | None = Field(None, description="Version of the dataset that it trained on.")


class LastSkip(ApiModel):
    """The run that was skipped last."""

    due: Moment = Field(description="When it was due.")
    reason: _Word = Field(description="Why it was not made: NothingNew, Missed, WorthUnknown.")
    message: Annotated[str, Field(max_length=1024)] | None = Field(None, description="The same in words.")


class RunsStatus(ApiModel):
    """The runs of a schedule."""

    last: LastRun | None = Field(None, description="The run that was made last.")
    next: Moment | None = Field(None, description="When the next run is due.")
    pending: Moment | None = Field(None, description="Since when a run is due that has not been decided on.")
    decided: Moment | None = Field(None, description="Everything due until then was made, skipped or missed.")
    trained_version: _Name | None = Field(None, description="Version of the dataset that was trained on last.")
    skipped: Count = Field(0, description="Runs that were due and not worthwhile.")
    missed: Count = Field(0, description="Runs that did not start within their deadline.")
    saved_by_skipping: DecimalText | None = Field(
        None, description="What skipping has saved, by the mean cost of the runs before; absent while that is unknown."
    )
    skipped_without_price: Count | None = Field(
        None, description="Runs that were skipped of which nobody knows what they would have cost."
    )
    last_skip: LastSkip | None = Field(None, description="The run that was not made last.")


class ReusedRun(ApiModel):
    """The earlier run whose result stands for this one."""

    name: _Name = Field(description="Name of its TrainingJob, which may be deleted already.")
    uid: _Word = Field(description="UID of its TrainingJob.")
    ended: Moment | None = Field(None, description="When it ended.")
    cost: DecimalText | None = Field(None, description="What it cost; absent when unknown.")
    result: Annotated[str, Field(max_length=1024)] | None = Field(None, description="Its last metrics.")
    checkpoint: Annotated[str, Field(max_length=256)] | None = Field(None, description="Its last checkpoint.")
    outputs: Annotated[tuple[Annotated[str, Field(max_length=512)], ...], Field(max_length=16)] = Field(
        default=(), description="Claims that it could write to, as `claim/NAME at PATH`."
    )


class FingerprintStatus(ApiModel):
    """What tells this run from others."""

    digest: _Word = Field(description="SHA-256 over everything that its result depends on.")
    dataset_version: _Name | None = Field(None, description="Version of the dataset that it trains on.")
    exact: bool = Field(
        False, description="Whether the same digest is the same run; the condition Duplicate says what is missing."
    )


# --- conversion -------------------------------------------------------------------------------------------------------


def dataset(model: Dataset | None) -> core.Dataset | None:
    """In the terms of the core."""
    if model is None:
        return None
    return core.Dataset(model.name, model.version or "", _source(model.version_from))


def _source(model: VersionFrom | None) -> core.VersionSource | None:
    if model is None:
        return None
    if model.config_map is not None:
        return core.VersionSource("ConfigMap", model.config_map.name, model.config_map.key)
    assert model.claim is not None
    return core.VersionSource("PersistentVolumeClaim", model.claim.name, model.claim.annotation)


def base_model(model: BaseModelRef | None) -> core.BaseModel | None:
    """In the terms of the core."""
    return None if model is None else core.BaseModel(model.name, model.revision or "")


def runs(model: Runs | None) -> core.Runs | None:
    """In the terms of the core."""
    if model is None:
        return None
    return core.Runs(
        cron=model.cron,
        starting_deadline=parse_duration(model.starting_deadline),
        quality=_quality(model.quality),
        at_least_every=parse_duration(model.at_least_every) if model.at_least_every is not None else None,
        keep_complete=model.successful_runs_history_limit,
        keep_failed=model.failed_runs_history_limit,
    )


def _quality(model: Quality | None) -> core.Quality | None:
    if model is None:
        return None
    below, above = (None if one is None else Decimal(one) for one in (model.below, model.above))
    return core.Quality(model.query, below, above)


DeduplicationMode = Literal["Off", "Warn", "Reuse"]
