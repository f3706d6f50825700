"""Where the metrics of a training run come from: `spec.metrics` of a TrainingJob."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

import re2
from pydantic import AfterValidator, Field

from gpucost.api.fields import ApiModel, rule, rules
from gpucost.core.training import metric_sources as core

_NAME_MESSAGE = "must be a name of a metric: a letter, then letters, digits and _ . / : -, such as eval_loss"
_NAME = r"^[A-Za-z][A-Za-z0-9_./:-]{0,62}$"
_PATTERN_MESSAGE = (
    r"must be a regular expression in RE2 syntax with named groups, such as 'loss=(?P<loss>\S+)'; "
    "lookaround and back references are not possible"
)
_LOG = """\
Lines of the log of rank 0 that a regular expression (RE2 syntax) matches. Each named group is a metric; the groups \
`step` and `progress` (0 to 1) say how far the run is. What matches within five seconds is one report, of which the \
last values count. Example:

log:
  pattern: 'step (?P<step>\\d+) loss=(?P<loss>\\S+)'"""
_METRICS = """\
Where the metrics come from by which the run is judged. Pods of a Job made from `template` are given an address and a \
token, so that Hugging Face Transformers (5.4 and later) and `gpucost.sdk` report by themselves; the others are for \
programs that cannot be changed. Example:

metrics:
  prometheus:
  - name: loss
    query: avg(train_loss{namespace="research", job="bert"})"""


def _pattern(text: str) -> str:
    if problem := _problem(text):
        raise ValueError(f"{_PATTERN_MESSAGE} ({problem})")
    return text


@lru_cache(maxsize=1024)
def _problem(text: str) -> str:
    """What is wrong with an expression; remembered, because a large one takes long to be found too large."""
    try:
        options = re2.Options()
        options.log_errors = False
        options.max_mem = core.PATTERN_MEMORY
        groups = re2.compile(text, options).groupindex
    except re2.error as error:
        detail = error.args[0] if error.args else ""
        return detail.decode(errors="replace") if isinstance(detail, bytes) else str(detail)
    return "" if groups else "no group has a name"


MetricName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=63,
        pattern=_NAME,
        json_schema_extra=rules(rule(f"self.matches('{_NAME}')", _NAME_MESSAGE)),
    ),
]
"""Name of a metric."""


class MetricQuery(ApiModel):
    """A query whose value is a metric."""

    name: MetricName = Field(description="Name of the metric, such as loss.")
    query: Annotated[str, Field(min_length=1, max_length=1024)] = Field(
        description="PromQL query whose value is a single number, asked every 15 seconds while the run runs; no data, "
        'several series and not-a-number are unknown. Example: `avg(train_loss{job="bert"})`.'
    )


class LogPattern(ApiModel):
    """Metrics in the log of rank 0."""

    pattern: Annotated[
        str,
        Field(
            min_length=1,
            max_length=512,
            json_schema_extra=rules(
                # matches() fails on what is no expression; the server then shows that error with this message.
                rule("(''.matches(self) || true) && self.contains('(?P<')", _PATTERN_MESSAGE)
            ),
        ),
        AfterValidator(_pattern),
    ] = Field(description="Regular expression with named groups.")
    container: Annotated[str, Field(max_length=63)] | None = Field(
        None, description="Container whose log is read; left out, the first one."
    )


class MetricSources(ApiModel):
    """Where the metrics come from by which the run is judged."""

    push: Literal["Auto", "Off"] = Field(
        "Auto",
        description="Auto: the pods of a Job made from `template` get what they need to report: environment variables, "
        "a token for nothing else, and the certificate authority. Off: they get none of it.",
    )
    prometheus: Annotated[
        tuple[MetricQuery, ...],
        Field(
            max_length=16, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
        ),
    ] = Field(default=(), description="Metrics by PromQL queries, at most 16; needs `prometheus.url` in the chart.")
    log: LogPattern | None = Field(None, description=_LOG)
    termination_message: bool = Field(
        False,
        description="true reads the JSON object that rank 0 leaves as its termination message (at most 4 KiB), such as "
        '`{"eval_loss": 0.21}`: its numbers are metrics. Without JSON the pattern of `log` is tried on its lines.',
    )


def metric_sources(model: MetricSources) -> core.MetricSources:
    """In the terms of the core."""
    log = core.LogPattern(model.log.pattern, model.log.container or "") if model.log is not None else None
    return core.MetricSources(
        push=model.push == "Auto",
        prometheus=tuple(core.MetricQuery(one.name, one.query) for one in model.prometheus),
        log=log,
        termination_message=model.termination_message,
    )


METRICS_DESCRIPTION = _METRICS
