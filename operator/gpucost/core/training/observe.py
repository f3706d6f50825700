"""What the Job and its pods show: whether it has ended, whether it has really stopped, where it runs, why it waits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from gpucost.core.capacity import Override, capacity_type, labelled_capacity
from gpucost.core.clock import Instant
from gpucost.core.model import CapacityType, Job, Node, Pod, Waiting

_SUFFIX = 5
_ENDED = frozenset({"Succeeded", "Failed"})


def alive(pods: Iterable[Pod]) -> list[Pod]:
    """Pods that have not come to their end; one that is being deleted is alive until it has."""
    return [pod for pod in pods if pod.phase not in _ENDED]


def starting(pods: Iterable[Pod]) -> list[Pod]:
    """Living pods that no node has been found for, and that nobody is deleting."""
    return [pod for pod in alive(pods) if pod.node_name is None and pod.deleting is None]


def rank_zero(job: Job, pods: Iterable[Pod]) -> Sequence[Pod]:
    """Pods of the worker that speaks for the others, the newest last: index 0 of an Indexed Job, else the oldest one.

    Pods of an Indexed Job are named `JOB-INDEX-` and five letters, those of a JobSet `JOBSET-REPLICATED-0-INDEX-`.
    """
    every = sorted(pods, key=lambda pod: (pod.created, pod.name))
    zero = re.compile(re.escape(job.name) + r"(-.+-0)?-0-[a-z0-9]{5}")
    first = min((pod.name[:-_SUFFIX] for pod in every if zero.fullmatch(pod.name)), default=None)
    indexed = [pod for pod in every if first is not None and pod.name[:-_SUFFIX] == first]
    if indexed or job.parallelism == 1:
        return indexed or every
    return (alive(every) or every)[:1]


def has_stopped(job: Job, pods: Iterable[Pod]) -> bool:
    """Whether a suspended Job holds nothing any more: the controller says so, and no pod contradicts it."""
    quiet = job.condition("Suspended") is not None and job.active == 0 and job.terminating == 0
    return job.suspend and quiet and not alive(pods)


def is_settled(job: Job, pods: Sequence[Pod]) -> bool:
    """Whether every worker that is still to finish has a node."""
    needed = min(job.parallelism, job.completions - job.succeeded)
    return sum(pod.node_name is not None and pod.deleting is None for pod in alive(pods)) >= max(needed, 1)


def is_running(job: Job) -> bool:
    """Whether every worker that is still to finish is ready."""
    return not job.suspend and job.ready > 0 and job.ready >= min(job.parallelism, job.completions - job.succeeded)


def unscheduled_since(pods: Iterable[Pod]) -> Instant | None:
    """Since when a worker has waited for a node; None when none does.

    A worker that never existed (a quota, an admission rule) does not count: no other placement would bring it.
    """
    return min((pod.created for pod in starting(pods)), default=None)


def waiting(pods: Iterable[Pod]) -> Waiting | None:
    """Why the job waits, in the words of whoever holds its first waiting pod up."""
    words = [pod.waiting for pod in alive(pods) if pod.waiting is not None and pod.deleting is None]
    return min(words, key=lambda one: (one.since, one.reason, one.message), default=None)


def fits(
    job: Job, pods: Iterable[Pod], nodes: Mapping[str, Node], overrides: Sequence[Override], target: CapacityType
) -> bool | None:
    """Whether a Job that we have not bound to a pool runs on a capacity type anyway; None when nobody can tell yet.

    Its own node selector tells, else the nodes of its pods. While no pod has a node it fits nothing: it could still
    land anywhere, and binding it now costs no work.
    """
    selected = labelled_capacity(job.node_selector, overrides)
    if selected is not None:
        return selected is target
    there = alive(pods)
    if not there:
        return None if job.active else False
    bound = [pod.node_name for pod in there if pod.node_name is not None]
    found = {capacity_type(nodes[name].labels, overrides) for name in bound if name in nodes}
    if found - {target}:
        return False
    if len(bound) == len(there) and all(name in nodes for name in bound):
        return True
    return None if bound else False


def current_placement(
    job: Job, pods: Iterable[Pod], nodes: Mapping[str, Node], overrides: Sequence[Override]
) -> CapacityType | None:
    """The one capacity type that a Job which we have not bound runs on; None when nobody can tell."""
    return next((kind for kind in CapacityType if fits(job, pods, nodes, overrides, kind)), None)


def interrupted_success(job: Job, pods: Iterable[Pod]) -> Pod | None:
    """A pod that ended with exit code 0 while it was being evicted: its Job counts as complete and is not.

    Kubernetes issues 90636 and 120182. A success on the way out of our own suspension is the same.
    """
    if job.condition("Complete") is None:
        return None
    return next((pod for pod in pods if pod.phase == "Succeeded" and pod.disruption is not None), None)


def unasked_terminations(job: Job, pods: Iterable[Pod]) -> int:
    """Failures that the Job's failure policy ignored although nobody interrupted the pod, at least so many.

    The policy ignores exit code 143, so a program that always ends with it would be started for ever. What is neither
    counted by the Job, nor disrupted, nor deleted, has ended by itself.
    """
    own = sum(pod.phase == "Failed" and pod.disruption is None and pod.deleting is None for pod in pods)
    return max(0, own - job.failed)
