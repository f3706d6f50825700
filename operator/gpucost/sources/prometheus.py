"""GPU utilisation from any engine that speaks PromQL, one bulk query per metric and tick.

The average over the sampling window is asked for, not the last value: it describes the whole tick, and a series without
a fresh sample is absent from the answer instead of being repeated for five minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gpucost.core.clock import Instant
from gpucost.core.usage import SCALE, Sample
from gpucost.sources.promql import PrometheusError, PromQL

__all__ = ["PrometheusError", "UtilisationSource"]


@dataclass
class UtilisationSource:
    """Reads GPU series; `url` is the engine's base URL, `window` the averaging window in seconds."""

    url: str
    window: int = 60
    headers: Mapping[str, str] = field(default_factory=dict)
    verify_tls: bool = True
    last_success: Instant | None = None
    engine: PromQL | None = None
    """The connection; several sources may share one, and it counts queries and samples."""

    async def read(self, now: Instant) -> Mapping[str, list[Sample]]:
        """All series of every metric, averaged over the window that ends now.

        Raises `PrometheusError` when any metric could not be read: half an answer would look like silence of the rest.
        """
        if self.engine is None:
            self.engine = PromQL(self.url, self.headers, self.verify_tls)
        answers = {}
        for metric in SCALE:
            series = await self.engine.query(f"avg_over_time({metric}[{self.window}s])")
            answers[metric] = [Sample(one.labels, one.value) for one in series]
        if any(answers.values()):
            self.last_success = now
        return answers
