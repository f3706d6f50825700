"""UIDs of pods, from the names of the kubelet's log folders: `<namespace>_<pod>_<uid>`.

PodResources tells names only, and a name may be used again. The folder of a pod that is gone may stay for a while:
where two folders fit one name, the UID is unknown.
"""

from __future__ import annotations

from pathlib import Path

PodName = tuple[str, str]
_PARTS = 3


def pod_uids(folder: str) -> dict[PodName, str]:
    """UIDs by namespace and name; empty when the folder cannot be read or is not given."""
    try:
        names = [path.name for path in Path(folder).iterdir()] if folder else []
    except OSError:
        return {}
    found: dict[PodName, str] = {}
    twice: set[PodName] = set()
    for name in names:
        parts = name.split("_")
        if len(parts) != _PARTS:
            continue
        pod = (parts[0], parts[1])
        if pod in found:
            twice.add(pod)
        found[pod] = parts[2]
    return {pod: uid for pod, uid in found.items() if pod not in twice}
