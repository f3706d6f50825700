"""What a run sends is read, or refused in one line that names the place; nothing of it is believed blindly."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucost.core.clock import SECOND, format_rfc3339, parse_rfc3339
from gpucost.core.training.push import MOST_METRICS, PushError, parse_push
from gpucost.core.training.sayings import Bucket, Speaker, checkpoint_of, report_of

NOW = parse_rfc3339("2026-11-25T04:00:00Z")


def body(status: dict[str, Any] | None = None, **more: Any) -> bytes:
    return json.dumps({"trainerStatus": status if status is not None else {}, **more}).encode()


def metrics(*pairs: tuple[str, Any]) -> dict[str, Any]:
    return {"metrics": [{"name": name, "value": value} for name, value in pairs]}


def test_the_message_of_hugging_face_is_read() -> None:
    """As `KubeflowCallback` of Transformers 5.24 writes it: values are text, the step is a metric."""
    status = {
        "lastUpdatedTime": "2026-11-25T03:59:58.250000+00:00",
        "progressPercentage": 42,
        "estimatedRemainingSeconds": 77,
        **metrics(("loss", "0.25"), ("grad_norm", "nan"), ("current_step", "1200"), ("total_steps", "2857")),
    }
    push = parse_push(body(status))
    assert (push.step, push.progress, push.remaining) == (1200, 0.42, 77 * SECOND)
    assert push.told_at == NOW - 1_750_000
    assert push.metrics["loss"] == 0.25
    assert math.isnan(push.metrics["grad_norm"])
    assert push.ignored == ()


def test_our_own_fields_stand_beside_it() -> None:
    push = parse_push(body(step=7, checkpoint={"step": 6, "durationSeconds": 1.5, "time": "2026-11-25T04:00:00Z"}))
    assert push.step == 7
    assert push.saved is not None
    assert (push.saved.step, push.saved.duration, push.saved.at) == (6, 1_500_000, NOW)


def test_a_checkpoint_alone_is_no_report() -> None:
    push = parse_push(b'{"checkpoint": {}}')
    assert not push.is_report
    assert report_of(push, NOW) is None


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", '"nan"', '"NaN"', '"-inf"', "1e999", "9" * 400])
def test_a_metric_that_is_not_finite_is_kept(text: str) -> None:
    push = parse_push(b'{"trainerStatus": {"metrics": [{"name": "loss", "value": %s}]}}' % text.encode())
    assert not math.isfinite(push.metrics["loss"])


@pytest.mark.parametrize("value", ["abc", "1_000", "", None, True, [], {}, "0x10", "1" * 101])
def test_a_metric_that_is_no_number_is_left_out_and_said(value: Any) -> None:
    push = parse_push(body(metrics(("loss", 1.0), ("name", value))))
    assert dict(push.metrics) == {"loss": 1.0}
    assert push.ignored == ("trainerStatus.metrics[1].value: name is no number",)


@pytest.mark.parametrize(
    ("sent", "place"),
    [
        (b"", "body"),
        (b"\xff\xfe", "body"),
        (b"{", "body"),
        (b"[" * 30000, "body"),
        (b"[]", "body"),
        (b"{}", "trainerStatus"),
        (b'{"trainerStatus": 1}', "trainerStatus"),
        (b'{"trainerStatus": {"progressPercentage": NaN}}', "trainerStatus.progressPercentage"),
        (b'{"trainerStatus": {"progressPercentage": Infinity}}', "trainerStatus.progressPercentage"),
        (b'{"trainerStatus": {"estimatedRemainingSeconds": NaN}}', "trainerStatus.estimatedRemainingSeconds"),
        (body({"progressPercentage": "half"}), "trainerStatus.progressPercentage"),
        (body({"progressPercentage": True}), "trainerStatus.progressPercentage"),
        (body({"progressPercentage": 100.01}), "trainerStatus.progressPercentage"),
        (body({"progressPercentage": -1}), "trainerStatus.progressPercentage"),
        (body({"estimatedRemainingSeconds": -1}), "trainerStatus.estimatedRemainingSeconds"),
        (body({"estimatedRemainingSeconds": 1e30}), "trainerStatus.estimatedRemainingSeconds"),
        (body({"lastUpdatedTime": "yesterday"}), "trainerStatus.lastUpdatedTime"),
        (body({"lastUpdatedTime": "2026-11-25T04:00:00"}), "trainerStatus.lastUpdatedTime"),
        (body({"lastUpdatedTime": 5}), "trainerStatus.lastUpdatedTime"),
        (body({"metrics": {"loss": 1}}), "trainerStatus.metrics"),
        (body({"metrics": [1]}), "trainerStatus.metrics[0]"),
        (body(metrics(("", 1))), "trainerStatus.metrics[0].name"),
        (body(metrics(("x" * 129, 1))), "trainerStatus.metrics[0].name"),
        (body(metrics(("a\nb", 1))), "trainerStatus.metrics[0].name"),
        (body(metrics(*[(f"m{i}", i) for i in range(MOST_METRICS + 1)])), "trainerStatus.metrics"),
        (body(step=-1), "step"),
        (body(step=1.5), "step"),
        (body(step=1e300), "step"),
        (body(checkpoint=[]), "checkpoint"),
        (body(checkpoint={"durationSeconds": "long"}), "checkpoint.durationSeconds"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(sent: bytes, place: str) -> None:
    with pytest.raises(PushError) as refused:
        parse_push(sent)
    assert str(refused.value).partition(": ")[0] == place
    assert "\n" not in str(refused.value)


@given(st.binary(max_size=200) | st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=8),
       lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
           st.sampled_from(["trainerStatus", "metrics", "name", "value", "step", "checkpoint", "progressPercentage",
                            "lastUpdatedTime", "time"]), inner, max_size=5), max_leaves=20).map(
           lambda found: json.dumps(found).encode()))  # fmt: skip
def test_whatever_is_sent_is_read_or_refused(sent: bytes) -> None:
    with suppress(PushError):
        push = parse_push(sent)
        assert push.progress is None or 0 <= push.progress <= 1
        assert push.step is None or push.step >= 0


# --- what counts ------------------------------------------------------------------------------------------------------


def told(at: int) -> Any:
    return parse_push(body({"progressPercentage": 1, "lastUpdatedTime": format_rfc3339(at)}))


def test_a_repetition_and_an_older_message_are_named() -> None:
    speaker = Speaker()
    speaker.heard(told(NOW), NOW)
    assert "repetition" in speaker.repeats(told(NOW))
    assert "out of order" in speaker.repeats(told(NOW - SECOND))
    assert speaker.repeats(told(NOW + 1)) == ""
    assert speaker.repeats(parse_push(body({"progressPercentage": 1}))) == ""


def test_a_clock_that_was_ahead_does_not_silence_the_run_when_it_is_set_right() -> None:
    speaker = Speaker()
    speaker.heard(told(NOW + 3600 * SECOND), NOW)
    assert speaker.repeats(told(NOW + SECOND)) == ""


def test_five_messages_at_once_and_then_one_in_two_seconds() -> None:
    pace = Bucket(burst=5, period=2 * SECOND)
    assert [pace.take(NOW) for _ in range(6)] == [0, 0, 0, 0, 0, 2 * SECOND]
    assert pace.take(NOW + SECOND) == SECOND
    assert pace.take(NOW + 2 * SECOND) == 0
    assert [pace.take(NOW + 3600 * SECOND) for _ in range(6)][-2:] == [0, 2 * SECOND]


def test_a_checkpoint_older_than_the_job_does_not_count_and_one_from_the_future_is_from_now() -> None:
    old = parse_push(body(checkpoint={"time": "2026-11-24T00:00:00Z"}))
    saved, why = checkpoint_of(old, NOW, born=NOW - SECOND)
    assert saved is None
    assert "before the TrainingJob was created" in why
    future = parse_push(body(step=3, checkpoint={"time": "2027-11-24T00:00:00Z"}))
    saved, why = checkpoint_of(future, NOW, born=NOW - SECOND)
    assert saved is not None
    assert (saved.at, saved.step, why) == (NOW, 3, "")
