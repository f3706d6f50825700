"""`gpucost operator --dry-run` for InferenceEndpoints: what one pass would do, asked of the API server and not done."""

from __future__ import annotations

from typing import TextIO

from gpucost.core.serving.plan import plan
from gpucost.effects.apply import Result
from gpucost.effects.scaling import scale
from gpucost.runtime.endpoints.controller import EndpointController


async def print_endpoints(controller: EndpointController, out: TextIO) -> int:
    """Print it; the number of changes that the API server would refuse."""
    refused = planned = 0
    records = controller.endpoints.records
    for key in sorted(records):
        record = records[key]
        decision = plan(await controller.gather(record), controller.now())
        action = decision.action
        if action is None:
            ready = next(one for one in decision.conditions if one.type == "Ready")
            print(f"{key}: nothing to do: {ready.reason}: {ready.message}", file=out)
            continue
        planned += 1
        result, said = await scale(controller.client, controller.targets.path(action.ref, key.namespace), action)
        accepted = result is Result.APPLIED
        refused += not accepted
        verdict = "would" if accepted else f"would, but is {result.value}"
        print(
            f"{key}: {verdict} scale {action.ref} {action.before} -> {action.replicas} ({action.reason}): "
            f"{action.message}{'' if accepted else f': {said}'}",
            file=out,
        )
    if records:
        print(f"{len(records)} InferenceEndpoints, {planned} changes, {refused} of them refused", file=out)
    return refused
