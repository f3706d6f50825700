"""Set the replicas of a workload through its `scale` subresource, conditionally.

The resourceVersion that the decision saw goes along: when anybody has changed the workload since, the API server
refuses and it is decided again. A field manager of our own shows in `metadata.managedFields` who has set the number.
"""

from __future__ import annotations

from gpucost.core.serving.state import ScaleTarget
from gpucost.effects.apply import Result, result_of
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable

SCALE_MANAGER = "gpucost-scale"


async def scale(client: KubeClient, path: str, action: ScaleTarget) -> tuple[Result, str]:
    """Carry out one change; `path` is that of the workload. The result, and what was said to a refusal."""
    body = {
        "metadata": {"uid": action.uid, "resourceVersion": action.resource_version},
        "spec": {"replicas": action.replicas},
    }
    try:
        await client.merge(f"{path}/scale", body, manager=SCALE_MANAGER)
    except ApiError as error:
        return result_of(error), error.message or str(error)
    except Unreachable as error:
        return Result.FAILED, str(error)
    return Result.APPLIED, ""
