"""Types of single fields of an InferenceEndpoint: names, latencies and figures, with what they are refused for."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from gpucost.api.fields import rule, rules
from gpucost.core.clock import parse_duration

Name = Annotated[str, Field(min_length=1, max_length=253)]
Replicas = Annotated[int, Field(ge=1, le=10_000)]
Query = Annotated[str, Field(min_length=1, max_length=2048)]
_LABEL = r"^[a-zA-Z_][a-zA-Z0-9_]*$"
LabelName = Annotated[str, Field(max_length=128, pattern=_LABEL)]
"""A label of a Prometheus series."""


_LATENCY = r"^[0-9]{1,6}(\.[0-9]{1,3})?(ms|s)$"
_LATENCY_MESSAGE = "must be a time above zero in ms or s, such as 800ms or 2s"


def _latency(text: str) -> str:
    if not re.fullmatch(_LATENCY, text) or parse_duration(text) <= 0:
        raise ValueError(_LATENCY_MESSAGE)
    return text


Latency = Annotated[
    str,
    Field(
        min_length=2,
        max_length=16,
        json_schema_extra=rules(
            rule(f"self.matches(r'{_LATENCY}') && duration(self) > duration('0s')", _LATENCY_MESSAGE)
        ),
    ),
    AfterValidator(_latency),
]
"""A short time, such as 800ms."""

_RATE = r"^[0-9]{1,9}(\.[0-9]{1,6})?$"
_RATE_MESSAGE = "must be a decimal number above zero, as a string such as '12.5'"


def _rate(text: str) -> str:
    if not re.fullmatch(_RATE, text) or not float(text):
        raise ValueError(_RATE_MESSAGE)
    return text


Rate = Annotated[
    str,
    Field(
        min_length=1,
        max_length=16,
        json_schema_extra=rules(rule(rf"self.matches(r'{_RATE}') && !self.matches(r'^[0.]+$')", _RATE_MESSAGE)),
    ),
    AfterValidator(_rate),
]
"""A number above zero, as a string: JSON's own numbers are binary fractions."""
