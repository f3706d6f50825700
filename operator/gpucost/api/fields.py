"""Kinds of values that several custom resources share: durations, money, time zones, cron expressions.

Each kind says the same thing twice: as CEL rules, which the API server checks at `kubectl apply`, and as a validator in
Python, which protects the operator from an object that was stored before the rule existed. The bounds on every string,
list and map are what keeps the estimated cost of the CEL rules under the API server's limit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from gpucost.core.clock import parse_duration, parse_rfc3339
from gpucost.core.money import parse_amount


class ApiModel(BaseModel):
    """An object inside a custom resource.

    Unknown fields are ignored: a newer version of the operator may have stored them, and an older one must go on.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


class OpenModel(ApiModel):
    """An object of which only the declared part is looked at and the whole is preserved."""

    model_config = ConfigDict(extra="allow")


def rule(expression: str, message: str, *, field_path: str = "", reason: str = "") -> dict[str, str]:
    """One CEL rule of a structural schema; `message` says what is right, `field_path` where it is wrong."""
    result = {"rule": expression, "message": message}
    if field_path:
        result["fieldPath"] = field_path
    if reason:
        result["reason"] = reason
    return result


def rules(*each: Mapping[str, str], **schema: Any) -> dict[str, Any]:
    """`json_schema_extra` with CEL rules, and further schema keywords."""
    return {"x-kubernetes-validations": [dict(one) for one in each], **schema}


# --- durations --------------------------------------------------------------------------------------------------------

_DURATION = r"^([0-9]{1,5}(\.[0-9]{1,3})?(h|m|s))+$"


def _duration(text: str) -> str:
    if not re.fullmatch(_DURATION, text) or parse_duration(text) <= 0:
        raise ValueError("must be a duration above zero in h, m and s, such as 90s, 10m or 1h30m")
    return text


Duration = Annotated[
    str,
    Field(
        min_length=2,
        max_length=20,
        json_schema_extra=rules(
            rule(
                f"self.matches(r'{_DURATION}') && duration(self) > duration('0s')",
                "must be a duration above zero in h, m and s, such as 90s, 10m or 1h30m",
            )
        ),
    ),
    AfterValidator(_duration),
]
"""A span of time in hours, minutes and seconds, as Go and Kubernetes write it; never zero."""


# --- time -------------------------------------------------------------------------------------------------------------

_UTC_SECOND = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"
_UTC_MESSAGE = "must be an RFC 3339 time in UTC with whole seconds, such as 2026-11-01T00:00:00Z"


def _utc_second(text: str) -> str:
    if not re.fullmatch(_UTC_SECOND, text):
        raise ValueError(_UTC_MESSAGE)
    parse_rfc3339(text)
    return text


UtcSecond = Annotated[
    str,
    Field(
        max_length=40,
        json_schema_extra=rules(
            # timestamp() fails on the 13th month; the server then shows that error with this message.
            rule(f"self.matches('{_UTC_SECOND}') && timestamp(self) >= timestamp('0001-01-01T00:00:00Z')", _UTC_MESSAGE)
        ),
    ),
    AfterValidator(_utc_second),
]
"""An instant that has exactly one spelling, so that equal texts are equal instants (list map keys compare texts)."""


def _moment(text: str) -> str:
    parse_rfc3339(text)
    return text


GivenMoment = Annotated[
    str,
    Field(max_length=40),
    AfterValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time", "maxLength": 40}),
]
"""An instant that a user gives, RFC 3339 with any offset."""

Moment = Annotated[
    str, Field(max_length=40), WithJsonSchema({"type": "string", "format": "date-time", "maxLength": 40})
]
"""An instant in a status, RFC 3339 in UTC."""

_ZONE_MESSAGE = "must be an IANA time zone such as UTC, Europe/Berlin or America/New_York"

TimeZone = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        json_schema_extra=rules(
            # The server has the time zone database compiled in (for CronJob), and CEL looks the zone up in it.
            rule(
                "self != 'Local' && !self.contains(':') && timestamp('2000-01-01T00:00:00Z').getFullYear(self) > 0",
                _ZONE_MESSAGE,
            )
        ),
    ),
]
"""An IANA time zone; the core checks it again against its own database."""


# --- cron -------------------------------------------------------------------------------------------------------------

_STEP = "(/[1-9][0-9]?)?"
_MONTHS = "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"
_DAYS = "SUN|MON|TUE|WED|THU|FRI|SAT"
_CRON_MESSAGE = (
    "must be a cron expression of five fields: minute (0-59), hour (0-23), day of month (1-31, L), "
    "month (1-12, JAN-DEC), day of week (0-7, SUN-SAT), such as '0 20 * * 1-5' for 20:00 from Monday to Friday"
)


def _cron_field(value: str, also: str = "") -> str:
    term = rf"((\*|({value})(-({value}))?){_STEP}{also})"
    return f"{term}(,{term})*"


_CRON = "(?i)^{}$".format(
    " +".join(
        (
            _cron_field("[0-5]?[0-9]"),
            _cron_field("[01]?[0-9]|2[0-3]"),
            _cron_field("0?[1-9]|[12][0-9]|3[01]", "|LW?"),
            _cron_field(f"0?[1-9]|1[0-2]|{_MONTHS}"),
            _cron_field(f"[0-7]|{_DAYS}", f"|([0-7]|{_DAYS})#[1-5]|[0-7]L"),
        )
    )
)


def _cron(text: str) -> str:
    if not re.match(_CRON, text):
        raise ValueError(_CRON_MESSAGE)
    return text


Cron = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100,
        json_schema_extra=rules(rule(f"self.matches(r'{_CRON}')", _CRON_MESSAGE)),
    ),
    AfterValidator(_cron),
]
"""A cron expression; the core finds out whether it ever fires."""


# --- money and numbers ------------------------------------------------------------------------------------------------

_AMOUNT = r"^[0-9]{1,9}(\.[0-9]{1,9})?$"


def _amount(text: str) -> str:
    parse_amount(text)
    if not re.fullmatch(_AMOUNT, text):
        raise ValueError(f"at most 9 digits before and 9 after the point: {text!r}")
    return text


def _amount_rules(example: str) -> dict[str, Any]:
    return rules(
        rule("!self.startsWith('-')", f"must not be negative; {example}"),
        rule(
            rf"self.startsWith('-') || self.matches(r'{_AMOUNT}')",
            "must be a decimal number with at most 9 digits before and 9 after the point, such as '55.04'",
        ),
    )


Amount = Annotated[
    str,
    Field(
        min_length=1,
        max_length=20,
        json_schema_extra=_amount_rules("give the price per hour as a string such as '55.04'"),
    ),
    AfterValidator(_amount),
]
"""A non-negative amount of money per hour, as a decimal string."""

Limit = Annotated[
    str,
    Field(
        min_length=1,
        max_length=20,
        json_schema_extra=_amount_rules("give the limit as a string such as '500'"),
    ),
    AfterValidator(_amount),
]
"""A non-negative limit of money or of GPU-hours, as a decimal string."""

MonthlyAmount = Annotated[
    str,
    Field(
        min_length=1,
        max_length=20,
        json_schema_extra=_amount_rules("give the price per GiB and month as a string such as '0.08'"),
    ),
    AfterValidator(_amount),
]
"""A non-negative amount of money per GiB and month, as a decimal string."""

_PERCENT = r"^[0-9]{1,2}(\.[0-9]{1,4})?$"
_PERCENT_MESSAGE = "must be a percentage above 0 and below 100 with at most 4 decimals, as a string such as '12.5'"


def _percent(text: str) -> str:
    if not re.fullmatch(_PERCENT, text) or not float(text):
        raise ValueError(_PERCENT_MESSAGE)
    return text


Percent = Annotated[
    str,
    Field(
        min_length=1,
        max_length=8,
        json_schema_extra=rules(
            rule(rf"self.matches(r'{_PERCENT}') && !self.matches(r'^0+(\.0+)?$')", _PERCENT_MESSAGE)
        ),
    ),
    AfterValidator(_percent),
]
"""A percentage, as a decimal string."""

_NUMBER = r"^-?[0-9]{1,12}(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,2})?$"
_NUMBER_MESSAGE = "must be a number as a string, such as '0.92' or '1e-3'"


def _number(text: str) -> str:
    if not re.fullmatch(_NUMBER, text):
        raise ValueError(_NUMBER_MESSAGE)
    return text


Number = Annotated[
    str,
    Field(
        min_length=1,
        max_length=32,
        json_schema_extra=rules(rule(f"self.matches(r'{_NUMBER}')", _NUMBER_MESSAGE)),
    ),
    AfterValidator(_number),
]
"""A number with a sign, as a string: YAML's own numbers do not survive every tool unchanged."""


_CURRENCY_MESSAGE = "must be an ISO 4217 code of three capital letters, such as USD or EUR"


def _currency(text: str) -> str:
    if not re.fullmatch("[A-Z]{3}", text):
        raise ValueError(_CURRENCY_MESSAGE)
    return text


Currency = Annotated[
    str,
    Field(
        min_length=1,
        max_length=32,
        json_schema_extra=rules(rule("self.matches('^[A-Z]{3}$')", _CURRENCY_MESSAGE)),
    ),
    AfterValidator(_currency),
]
"""An ISO 4217 code."""

DecimalText = Annotated[str, Field(max_length=32)]
"""A decimal number in a status: money or a quantity, written exactly."""
