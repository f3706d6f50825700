"""What is told of a pass that failed for a reason nobody thought of: its TrainingJob must not just stand still."""

from __future__ import annotations

from gpucost.core.actions import Decision, EventNote
from gpucost.kube.errors import ApiError, Unreachable
from gpucost.runtime.world import Custom

_TRANSIENT = (ApiError, Unreachable)
_SHORT = 300


def told(record: Custom, error: Exception) -> Decision:
    """The Event for the failure of a pass, once for each kind of failure and specification.

    An API server that does not answer is no news about the object, and is asked again soon.
    """
    if isinstance(error, _TRANSIENT):
        return Decision(record.key)
    kind = type(error).__name__
    message = (
        f"the operator cannot decide about this TrainingJob, and tries again: {kind}: {str(error)[:_SHORT]}; "
        "until then nothing is made, moved or stopped for it. The fault is the operator's, whose log has the details"
    )
    note = EventNote("PassFailed", message, f"{record.generation} {kind}", warning=True)
    return Decision(record.key, events=(note,))
