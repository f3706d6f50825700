"""The past from recorded series and Events: what is known of it becomes facts, what is not becomes a gap.

`series` reads what kube-state-metrics exported into records (`seen`), `fill` compares them with what better sources
know and makes facts and gaps, `activity` does the same for GPU activity, `evidence` for Events. Nothing here asks
anybody anything.
"""

from __future__ import annotations
