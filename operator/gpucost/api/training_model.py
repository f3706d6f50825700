"""`spec.model` of a TrainingJob: what is trained, so that time and cost can be told before anything runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gpucost.api.fields import ApiModel, rule, rules
from gpucost.core.training.estimating.chips import Precision
from gpucost.core.training.estimating.counts import parse_count
from gpucost.core.training.estimating.work import Method, ModelSpec, Work

_PATTERN = r"^[0-9]{1,15}(\.[0-9]{1,6})?[KMBT]?$"
_MESSAGE = (
    "must be a whole number above zero, such as 350M, 7B or 1.5T (K, M, B and T are powers of a thousand), in quotes "
    "without a letter"
)
MODEL_DESCRIPTION = """\
What is trained, for the estimate of time and cost that is told when the TrainingJob is applied and by \
`kubectl cost estimate`. It changes nothing about how the job runs. Example: full training of 7 billion parameters on \
140 billion tokens.

model:
  parameters: 7B
  tokens: 140B
  method: Full"""


def _count(text: str) -> str:
    parse_count(text)
    return text


Count = Annotated[
    str,
    Field(
        min_length=1,
        max_length=24,
        json_schema_extra=rules(
            rule(f"self.matches(r'{_PATTERN}') && !self.matches(r'^[0.]+[KMBT]?$')", _MESSAGE),
        ),
    ),
    AfterValidator(_count),
]
"""A large round number: 7B."""


class TrainedModel(ApiModel):
    """What is trained."""

    parameters: Count = Field(
        description="Parameters of the model, such as 7B; of a mixture of experts the active ones."
    )
    tokens: Count = Field(
        description="Tokens that are read, those of later epochs too: 140B, or 3 epochs of 50M tokens are 150M."
    )
    method: Literal["Full", "LoRA", "QLoRA"] = Field(
        "Full",
        description="Full: all weights are trained, about 6 operations per parameter and token and 16 bytes of memory "
        "per parameter. LoRA: the weights are frozen and adapters beside them are trained, about 4 operations and 2 "
        "bytes. QLoRA: frozen in 4 bits, about 4 operations and 0.6 bytes.",
    )
    precision: Literal["BF16", "FP16", "TF32", "FP32"] | None = Field(
        None,
        description="Number format of the matrix products, which decides the peak of the GPU. Left out: BF16 where "
        "the GPU has it, else FP16.",
    )
    gpu: Annotated[str, Field(min_length=1, max_length=63)] | None = Field(
        None,
        description="GPU model to reckon with, such as H100, A100-80GB or L4. Left out, it is read from the node "
        "selectors of the job, else from the nodes of the cluster where all have the same GPUs.",
    )


def model_spec(model: TrainedModel | None) -> ModelSpec | None:
    """In the terms of the core."""
    if model is None:
        return None
    work = Work(
        parameters=parse_count(model.parameters),
        tokens=parse_count(model.tokens),
        method=Method(model.method),
        precision=None if model.precision is None else Precision(model.precision),
    )
    return ModelSpec(work, model.gpu or "")
