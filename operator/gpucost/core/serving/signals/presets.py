"""What inference servers call their figures, with the names of older and newer versions.

A figure has several names where versions differ; the first one of which a pod has a series counts, for each pod by
itself, because a rolling upgrade has both at once. Units are the server's own: `scale` leads to seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gpucost.core.serving.spec import Runtime

# Counters.
REQUESTS = "requests"
"""Requests that have ended."""
RECEIVED = "received"
"""Requests that have come, where the server counts them by themselves."""
PROMPT = "prompt_tokens"
GENERATION = "generation_tokens"
PREFILL = "prefill_seconds"
DECODE = "decode_seconds"
CACHE_HITS = "cache_hits"
CACHE_QUERIES = "cache_queries"
WAITED = "waited_seconds"
"""Time that requests waited, together: its rate is how many wait, but for those that have not ended."""
STAYED = "stayed_seconds"
"""Time that requests were there, waiting and worked on: its rate is how many are there."""
# Gauges.
RUNNING = "running"
WAITING = "waiting"
KV_CACHE = "kv_cache"
# Histograms.
FIRST_TOKEN = "first_token"
BETWEEN_TOKENS = "between_tokens"

COUNTERS = frozenset(
    {REQUESTS, RECEIVED, PROMPT, GENERATION, PREFILL, DECODE, CACHE_HITS, CACHE_QUERIES, WAITED, STAYED}
)


@dataclass(frozen=True, slots=True)
class Preset:
    """One server's names; sums over the series of a pod, but for `peaks`, of which the largest counts."""

    sums: Mapping[str, tuple[str, ...]]
    peaks: Mapping[str, tuple[str, ...]]
    histograms: Mapping[str, tuple[str, ...]]
    """Without `_bucket`."""
    alive: tuple[str, ...]
    """Metrics that a running server always has: their time stamps are those of the scrape."""
    prefix: str
    """What all of its names begin with, to tell what is there when none of the known ones is."""
    model_label: str = "model_name"
    scale: Mapping[str, float] = field(default_factory=dict)
    """By metric; what a value is multiplied by."""
    bound_scale: Mapping[str, float] = field(default_factory=dict)
    """By histogram; what its bounds are multiplied by to get seconds."""
    only: Mapping[str, str] = field(default_factory=dict)
    """By metric of `sums`; the matcher of the series that tell the whole, where others tell parts of it again."""
    creates_lazily: bool = False
    """Whether counters have no series before the first request."""

    def figure_of(self) -> Mapping[str, tuple[str, int, float]]:
        """Figure, rank among the figure's names and scale, by metric."""
        return {
            name: (figure, rank, self.scale.get(name, 1.0))
            for names in (self.sums, self.peaks)
            for figure, those in names.items()
            for rank, name in enumerate(those)
        }


_VLLM_SUMS: Mapping[str, tuple[str, ...]] = {
    REQUESTS: ("request_success_total",),
    PROMPT: ("prompt_tokens_total",),
    GENERATION: ("generation_tokens_total",),
    PREFILL: ("request_prefill_time_seconds_sum",),
    DECODE: ("request_decode_time_seconds_sum",),
    CACHE_HITS: ("prefix_cache_hits_total", "gpu_prefix_cache_hits_total"),
    CACHE_QUERIES: ("prefix_cache_queries_total", "gpu_prefix_cache_queries_total"),
    RUNNING: ("num_requests_running",),
    WAITING: ("num_requests_waiting",),
}
_VLLM_HISTOGRAMS: Mapping[str, tuple[str, ...]] = {
    FIRST_TOKEN: ("time_to_first_token_seconds",),
    BETWEEN_TOKENS: ("inter_token_latency_seconds", "time_per_output_token_seconds"),
}
_SGLANG_GAUGES: Mapping[str, tuple[str, ...]] = {RUNNING: ("num_running_reqs",), WAITING: ("num_queue_reqs",)}


def _prefixed(names: Mapping[str, tuple[str, ...]], prefix: str) -> dict[str, tuple[str, ...]]:
    return {figure: tuple(f"{prefix}{name}" for name in those) for figure, those in names.items()}


def _either(names: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """SGLang's names, which begin with `sglang:`, or with `sglang_` where colons have been replaced."""
    return {figure: tuple(f"sglang{mark}{one}" for mark in ":_" for one in those) for figure, those in names.items()}


PRESETS: Mapping[Runtime, Preset] = {
    Runtime.VLLM: Preset(
        sums=_prefixed(_VLLM_SUMS, "vllm:"),
        peaks={KV_CACHE: ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")},
        histograms=_prefixed(_VLLM_HISTOGRAMS, "vllm:"),
        alive=("vllm:num_requests_running",),
        prefix="vllm:",
    ),
    Runtime.NIM: Preset(
        sums={**_VLLM_SUMS, REQUESTS: ("request_success_total", "request_finish_total")},
        peaks={KV_CACHE: ("kv_cache_usage_perc", "gpu_cache_usage_perc")},
        histograms=_VLLM_HISTOGRAMS,
        alive=("num_requests_running",),
        prefix="num_request",
    ),
    Runtime.SGLANG: Preset(
        sums=_either(
            {
                REQUESTS: ("num_requests_total",),
                PROMPT: ("prompt_tokens_total",),
                GENERATION: ("generation_tokens_total",),
                CACHE_HITS: ("cached_tokens_total",),
                **_SGLANG_GAUGES,
            }
        ),
        peaks=_either({KV_CACHE: ("token_usage",)}),
        histograms=_either(_VLLM_HISTOGRAMS),
        alive=("sglang:num_running_reqs", "sglang_num_running_reqs"),
        prefix="sglang",
        only={name: 'priority=""' for names in _either(_SGLANG_GAUGES).values() for name in names},
        creates_lazily=True,
    ),
    Runtime.TGI: Preset(
        sums={
            RECEIVED: ("tgi_request_count",),
            REQUESTS: ("tgi_request_duration_count", "tgi_request_success"),
            PROMPT: ("tgi_request_input_length_sum",),
            GENERATION: ("tgi_request_generated_tokens_sum",),
            RUNNING: ("tgi_batch_current_size",),
            WAITING: ("tgi_queue_size",),
        },
        peaks={},
        histograms={BETWEEN_TOKENS: ("tgi_request_mean_time_per_token_duration",)},
        alive=("tgi_queue_size", "tgi_batch_current_size"),
        prefix="tgi_",
        creates_lazily=True,
    ),
    Runtime.TRITON: Preset(
        sums={
            REQUESTS: ("nv_inference_request_success",),
            WAITING: ("nv_inference_pending_request_count",),  # times only tell of requests that have ended
            WAITED: ("nv_inference_queue_duration_us",),
            STAYED: ("nv_inference_request_duration_us",),
        },
        peaks={},
        histograms={FIRST_TOKEN: ("nv_inference_first_response_histogram_ms",)},
        alive=("nv_inference_request_success",),
        prefix="nv_inference_",
        model_label="model",
        scale={"nv_inference_queue_duration_us": 1e-6, "nv_inference_request_duration_us": 1e-6},
        bound_scale={"nv_inference_first_response_histogram_ms": 1e-3},
    ),
}

FIGURE_OF: Mapping[Runtime, Mapping[str, tuple[str, int, float]]] = {
    runtime: preset.figure_of() for runtime, preset in PRESETS.items()
}
"""Figure, rank among the figure's names and scale, by metric."""

REQUIRED: Mapping[Runtime, tuple[str, ...]] = {
    **dict.fromkeys(PRESETS, ("arrived", "waiting", "running")),
    Runtime.CUSTOM: ("arrived",),
}
"""Figures without which nobody may lower the replicas."""

CUSTOM: Mapping[str, str] = {
    "requestsPerSecond": "arrived",
    "servedPerSecond": "served",
    "waiting": "waiting",
    "running": "running",
    "kvCacheUsage": "kv_cache",
    "promptTokensPerSecond": "prompt_tokens",
    "generationTokensPerSecond": "generation_tokens",
}
"""Names of `spec.metrics.queries` and the figures that they give."""
