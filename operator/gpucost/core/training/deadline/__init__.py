"""Where a training run that has a deadline should be: on spot, on on-demand capacity, or waiting.

`choose` answers for one run of the operator; the policies behind it (`policies`) answer for thousands of runs at once
in the simulator. What both ask and get is in `outlook`, which needs no numpy: the rest is imported at the first
question, so that an operator without such runs does not carry it.
"""

from __future__ import annotations

from importlib import import_module

from gpucost.core.training.deadline.outlook import Capacity, Choice, Outlook, PutOff, Reason, Span, Zone

__all__ = ["Capacity", "Choice", "Outlook", "PutOff", "Reason", "Span", "Zone", "choose"]


def choose(outlook: Outlook, policy: str = "auto") -> Choice:
    """Where the run should be now, why, and when to ask again; total for every outlook."""
    answer: Choice = import_module("gpucost.core.training.deadline.choosing").choose(outlook, policy)
    return answer
