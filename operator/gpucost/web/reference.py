"""Publishes the documents of the cost API and of the CLI as JSON Schema; the files in docs/reference are its output.

`python -m gpucost.web.reference docs/reference` writes them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pydantic import BaseModel

from gpucost.web.schema import (
    AllocationList,
    CostDocument,
    DiffDocument,
    Explanation,
    ExplanationDocument,
    IdleDocument,
)
from gpucost.web.schema_endpoints import UnitCost, UnitCostList
from gpucost.web.schema_estimates import EstimateDocument, OfferList
from gpucost.web.schema_runs import RunReport, RunSimulation, SavingList

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_FILES: dict[str, type[BaseModel]] = {
    "allocation-list.schema.json": AllocationList,
    "explanation.schema.json": Explanation,
    "kubectl-cost.schema.json": CostDocument,
    "kubectl-cost-explain.schema.json": ExplanationDocument,
    "kubectl-cost-idle.schema.json": IdleDocument,
    "kubectl-cost-diff.schema.json": DiffDocument,
    "kubectl-cost-estimate.schema.json": EstimateDocument,
    "offer-list.schema.json": OfferList,
    "run-report.schema.json": RunReport,
    "run-simulation.schema.json": RunSimulation,
    "saving-list.schema.json": SavingList,
    "unit-cost.schema.json": UnitCost,
    "unit-cost-list.schema.json": UnitCostList,
}


def render_all() -> dict[str, str]:
    """Every schema as JSON, by file name."""
    return {name: _render(model) for name, model in _FILES.items()}


def _render(model: type[BaseModel]) -> str:
    schema = {"$schema": _DIALECT, **model.model_json_schema(by_alias=True, mode="serialization")}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main(folder: str) -> None:
    """Write the files into a folder."""
    for name, text in render_all().items():
        Path(folder, name).write_text(text)


if __name__ == "__main__":
    main(sys.argv[1])
