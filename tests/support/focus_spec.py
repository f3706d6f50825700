"""What FOCUS 1.3 asks of a row of "Cost and Usage", written down by hand from the specification, apart from the code.

Only columns that gpucost writes are here. Times are instants of this house, numbers Decimals, JSON is text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

TEXT, NUMBER, TIME, OBJECT = "String", "Decimal", "Date/Time", "JSON"
REQUIRED, NULLABLE = False, True

# name: (type, may be null, allowed values or None)
SPECIFIED: dict[str, tuple[str, bool, frozenset[str] | None]] = {
    "AllocatedMethodDetails": (OBJECT, NULLABLE, None),
    "AllocatedMethodId": (TEXT, NULLABLE, None),
    "AllocatedResourceId": (TEXT, NULLABLE, None),
    "AllocatedResourceName": (TEXT, NULLABLE, None),
    "AllocatedTags": (OBJECT, NULLABLE, None),
    "AvailabilityZone": (TEXT, NULLABLE, None),
    "BilledCost": (NUMBER, REQUIRED, None),
    "BillingAccountId": (TEXT, REQUIRED, None),
    "BillingAccountName": (TEXT, NULLABLE, None),
    "BillingAccountType": (TEXT, REQUIRED, None),
    "BillingCurrency": (TEXT, REQUIRED, None),
    "BillingPeriodEnd": (TIME, REQUIRED, None),
    "BillingPeriodStart": (TIME, REQUIRED, None),
    "ChargeCategory": (TEXT, REQUIRED, frozenset({"Usage", "Purchase", "Tax", "Credit", "Adjustment"})),
    "ChargeClass": (TEXT, NULLABLE, frozenset({"Correction"})),
    "ChargeDescription": (TEXT, NULLABLE, None),
    "ChargeFrequency": (TEXT, REQUIRED, frozenset({"One-Time", "Recurring", "Usage-Based"})),
    "ChargePeriodEnd": (TIME, REQUIRED, None),
    "ChargePeriodStart": (TIME, REQUIRED, None),
    "CommitmentDiscountCategory": (TEXT, NULLABLE, frozenset({"Spend", "Usage"})),
    "CommitmentDiscountId": (TEXT, NULLABLE, None),
    "CommitmentDiscountName": (TEXT, NULLABLE, None),
    "CommitmentDiscountQuantity": (NUMBER, NULLABLE, None),
    "CommitmentDiscountStatus": (TEXT, NULLABLE, frozenset({"Used", "Unused"})),
    "CommitmentDiscountType": (TEXT, NULLABLE, None),
    "CommitmentDiscountUnit": (TEXT, NULLABLE, None),
    "ConsumedQuantity": (NUMBER, NULLABLE, None),
    "ConsumedUnit": (TEXT, NULLABLE, None),
    "ContractApplied": (OBJECT, NULLABLE, None),
    "ContractedCost": (NUMBER, REQUIRED, None),
    "ContractedUnitPrice": (NUMBER, NULLABLE, None),
    "EffectiveCost": (NUMBER, REQUIRED, None),
    "HostProviderName": (TEXT, REQUIRED, None),
    "InvoiceId": (TEXT, NULLABLE, None),
    "InvoiceIssuerName": (TEXT, REQUIRED, None),
    "ListCost": (NUMBER, REQUIRED, None),
    "ListUnitPrice": (NUMBER, NULLABLE, None),
    "PricingCategory": (TEXT, NULLABLE, frozenset({"Standard", "Dynamic", "Committed", "Other"})),
    "PricingQuantity": (NUMBER, NULLABLE, None),
    "PricingUnit": (TEXT, NULLABLE, None),
    "ProviderName": (TEXT, REQUIRED, None),
    "PublisherName": (TEXT, REQUIRED, None),
    "RegionId": (TEXT, NULLABLE, None),
    "RegionName": (TEXT, NULLABLE, None),
    "ResourceId": (TEXT, NULLABLE, None),
    "ResourceName": (TEXT, NULLABLE, None),
    "ResourceType": (TEXT, NULLABLE, None),
    "ServiceCategory": (
        TEXT,
        REQUIRED,
        frozenset(
            {
                "AI and Machine Learning",
                "Analytics",
                "Business Applications",
                "Compute",
                "Databases",
                "Developer Tools",
                "Identity",
                "Integration",
                "Internet of Things",
                "Management and Governance",
                "Media",
                "Migration",
                "Mobile",
                "Multicloud",
                "Networking",
                "Security",
                "Storage",
                "Web",
                "Other",
            }
        ),
    ),
    "ServiceName": (TEXT, REQUIRED, None),
    "ServiceProviderName": (TEXT, REQUIRED, None),
    "ServiceSubcategory": (TEXT, REQUIRED, None),
    "SkuId": (TEXT, NULLABLE, None),
    "SkuMeter": (TEXT, NULLABLE, None),
    "SkuPriceDetails": (OBJECT, NULLABLE, None),
    "SkuPriceId": (TEXT, NULLABLE, None),
    "SubAccountId": (TEXT, NULLABLE, None),
    "SubAccountName": (TEXT, NULLABLE, None),
    "SubAccountType": (TEXT, NULLABLE, None),
    "Tags": (OBJECT, NULLABLE, None),
}

MANDATORY = frozenset(
    {
        "BilledCost",
        "BillingAccountId",
        "BillingAccountName",
        "BillingCurrency",
        "BillingPeriodEnd",
        "BillingPeriodStart",
        "ChargeCategory",
        "ChargeClass",
        "ChargeDescription",
        "ChargePeriodEnd",
        "ChargePeriodStart",
        "ContractedCost",
        "EffectiveCost",
        "HostProviderName",
        "InvoiceIssuerName",
        "ListCost",
        "PricingQuantity",
        "PricingUnit",
        "ProviderName",
        "PublisherName",
        "ServiceCategory",
        "ServiceName",
        "ServiceProviderName",
    }
)

SUBCATEGORIES = {
    "Virtual Machines": "Compute",
    "Containers": "Compute",
    "Block Storage": "Storage",
    "File Storage": "Storage",
    "Other (Storage)": "Storage",
    "Application Networking": "Networking",
    "Other (Networking)": "Networking",
}

_PASCAL = re.compile(r"x_[A-Z][A-Za-z0-9]*")
_UNIT = re.compile(r"((GPU|Core|GiB)-)?Hours")
_DETAIL = re.compile(r"InstanceType|CoreCount|GpuCount|MemorySize|DiskSpace|x_[A-Z]\w*")
_OWN_TEXTS = frozenset(
    {"x_CapacityType", "x_Category", "x_GpuModel", "x_Namespace", "x_State", "x_WorkloadKind", "x_WorkloadName"}
)
_OWN_NULLABLE = (_OWN_TEXTS - {"x_CapacityType", "x_State"}) | {"x_GpuActiveHours", "x_PricedCoverage"}


def problems(row: Mapping[str, Any]) -> list[str]:
    """What the specification has against a row."""
    found = [*_of_values(row), *_of_custom(row)]
    return found or [message for message, broken in _rules(row) if broken]


def _of_values(row: Mapping[str, Any]) -> list[str]:
    found = []
    for name, (kind, nullable, allowed) in SPECIFIED.items():
        value = row.get(name)
        if value is None:
            if not nullable:
                found.append(f"{name} is null")
        elif not _is(kind, value):
            found.append(f"{name} is no {kind}: {value!r}")
        elif allowed is not None and value not in allowed:
            found.append(f"{name} has a value that is not allowed: {value!r}")
    return found


def _is(kind: str, value: Any) -> bool:
    if kind == NUMBER:
        return isinstance(value, Decimal) and value.is_finite() and -value.as_tuple().exponent <= 12
    if kind == TIME:
        return type(value) is int
    if not isinstance(value, str) or not value.strip():
        return False
    return kind != OBJECT or isinstance(json.loads(value), dict)


def _of_custom(row: Mapping[str, Any]) -> list[str]:
    found = []
    for name in row.keys() - SPECIFIED.keys():
        value = row[name]
        if not _PASCAL.fullmatch(name):
            found.append(f"{name} is neither specified nor a name of our own")
        elif value is None and name not in _OWN_NULLABLE:
            found.append(f"{name} is null")
        elif value is not None and not _is(TEXT if name in _OWN_TEXTS else NUMBER, value):
            found.append(f"{name} has the wrong type: {value!r}")
    return found


def _rules(row: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """Conditions between columns."""
    cent = Decimal("0.000000001")
    listed = row["ListUnitPrice"] * row["PricingQuantity"]
    contracted = row["ContractedUnitPrice"] * row["PricingQuantity"]
    unheld = row["x_State"] != "allocated"
    element = json.loads(row["AllocatedMethodDetails"], parse_float=Decimal)["Elements"][0]
    return [
        ("the charge period is empty", row["ChargePeriodStart"] >= row["ChargePeriodEnd"]),
        (
            "the charge lies outside its billing period",
            not row["BillingPeriodStart"] <= row["ChargePeriodStart"] < row["BillingPeriodEnd"],
        ),
        ("currency is no ISO 4217 code", not re.fullmatch("[A-Z]{3}", row["BillingCurrency"])),
        ("EffectiveCost is not BilledCost, though nothing covers it", row["EffectiveCost"] != row["BilledCost"]),
        ("ListCost is not price x quantity", abs(row["ListCost"] - listed) > cent),
        ("ContractedCost is not price x quantity", abs(row["ContractedCost"] - contracted) > cent),
        ("use has no price", None in (row["SkuId"], row["SkuPriceId"], row["PricingQuantity"], row["PricingCategory"])),
        ("use has no quantity", row["ConsumedQuantity"] is None or row["ConsumedUnit"] is None),
        (
            "a unit is not written as units are",
            not all(_UNIT.fullmatch(row[u]) for u in ("ConsumedUnit", "PricingUnit")),
        ),
        ("the subcategory is of another category", SUBCATEGORIES[row["ServiceSubcategory"]] != row["ServiceCategory"]),
        (
            "a property of the price is not one",
            not all(map(_DETAIL.fullmatch, json.loads(row["SkuPriceDetails"] or "{}"))),
        ),
        ("an allocated charge has no method", row["AllocatedMethodId"] is None),
        ("what nobody held is allocated", unheld != (row["AllocatedResourceId"] is None)),
        ("the ratio is none", not 0 <= Decimal(element["AllocatedRatio"]) <= 1 or not element["UsageUnit"]),
        ("a tag is told twice", bool(_tags(row, "Tags") & _tags(row, "AllocatedTags"))),
        ("an issuer other than the provider owes no billed cost", row["InvoiceIssuerName"] != row["ProviderName"]),
    ]


def _tags(row: Mapping[str, Any], column: str) -> set[str]:
    return set(json.loads(row[column])) if row[column] else set()
