"""How many replicas of an inference server should exist, so that its requests are served in time at the least GPU-
hours.

`decide` answers for one endpoint of the operator; the policies behind it answer for hundreds of settings at once in
the simulator. What is asked and what is answered is in `outlook`, which needs no numpy: the rest is imported at the
first question, so that an operator without endpoints does not carry it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from gpucost.core.serving.replicas.outlook import Limits, Observation, Params, Reason, Recommendation

__all__ = ["Limits", "Observation", "Params", "Reason", "Recommendation", "decide", "restored", "stored"]


def decide(
    state: Any,
    observation: Observation,
    params: Params = Params(),  # noqa: B008
    *,
    in_place: bool = False,
) -> tuple[Any, Recommendation]:
    """The next state and the number of replicas; `state` is None at first.

    It is changed `in_place` only for whoever asks for that and has no use for the old one: copying is most of the work.
    """
    answer: tuple[Any, Recommendation] = import_module("gpucost.core.serving.replicas.deciding").decide(
        state, observation, params, in_place=in_place
    )
    return answer


def stored(state: Any) -> dict[str, Any]:
    """A state as a document of plain values, to be kept over a restart."""
    document: dict[str, Any] = import_module("gpucost.core.serving.replicas.deciding").stored(state)
    return document


def restored(document: dict[str, Any]) -> Any:
    """The state that was stored; None where the document is of another form, so that learning begins anew."""
    return import_module("gpucost.core.serving.replicas.deciding").restored(document)
