"""One GPU's activity by evidence: one signal shows that it computes, two that it does not."""

import pytest

from gpucost.core.model import Unknown
from gpucost.core.signals import (
    DRAM_ACTIVE,
    ENGINE_ACTIVE,
    GPU_UTIL,
    MEMORY_USED,
    POWER,
    SM_ACTIVE,
    TENSOR_ACTIVE,
    Device,
    checked,
    judge,
)

H100 = Device("NVIDIA H100 80GB HBM3")
SLICE = Device("NVIDIA H100 80GB HBM3", mig=True)
E, U, T, D, S, F, P = ENGINE_ACTIVE, GPU_UTIL, TENSOR_ACTIVE, DRAM_ACTIVE, SM_ACTIVE, MEMORY_USED, POWER

KNOWN = [
    ("the engine is the most precise", {E: 0.4, U: 0.9}, H100, 0.4),
    ("utilisation where there is no engine", {U: 0.7}, H100, 0.7),
    ("lost profiling counters under full load", {E: 0.0, U: 0.9}, H100, 0.9),
    ("lost counters, a sound part beside them", {E: 0.0, U: 0.9, T: 0.6, P: 600.0}, H100, 0.9),
    ("a part that is busier than its engine refutes it", {E: 0.1, U: 0.95, T: 0.6}, H100, 0.95),
    ("a part that is a little busier does not", {E: 0.50, U: 0.95, D: 0.54}, H100, 0.5),
    ("utilisation that is stuck at 0", {E: 0.5, U: 0.0, T: 0.3}, H100, 0.5),
    ("engine and driver agree on nothing", {E: 0.0, U: 0.0}, H100, 0.0),
    ("engine and an empty memory agree", {E: 0.0, F: 3.0}, H100, 0.0),
    ("engine and a cold board agree", {E: 0.002, P: 70.0}, H100, 0.002),
    ("an older GPU: driver and empty memory", {U: 0.0, F: 0.0}, Device("Tesla M60"), 0.0),
    ("a slice: engine and memory interface agree", {E: 0.0, D: 0.0}, SLICE, 0.0),
    ("a slice: engine and an empty memory agree", {E: 0.0, F: 0.0}, SLICE, 0.0),
    ("a busy slice", {E: 0.8, D: 0.3}, SLICE, 0.8),
    ("a slice does not answer for its board's power", {E: 0.0, D: 0.0, P: 690.0}, SLICE, 0.0),
]

UNKNOWN = [
    ("nothing at all", {}, H100, "no signal that tells of time"),
    ("memory and power tell of no time", {F: 0.0, P: 70.0}, H100, "no signal that tells of time"),
    ("the engine alone", {E: 0.0}, H100, f"only {E} says that nothing ran"),
    ("utilisation alone", {U: 0.0}, H100, f"only {U} says that nothing ran"),
    ("all profiling counters are lost together", {E: 0.0, S: 0.0, T: 0.0, D: 0.0}, H100, f"only {E} says"),
    ("a model in memory is no witness", {E: 0.0, F: 40_000.0}, H100, f"only {E} says"),
    ("a board that is neither hot nor cold", {E: 0.0, P: 250.0}, H100, f"only {E} says"),
    ("power of a board that nobody knows", {E: 0.0, P: 10.0}, Device("Something New"), f"only {E} says"),
    ("all read 0, and the board is hot", {E: 0.0, U: 0.0, P: 600.0}, H100, "draws the power of a busy GPU"),
    ("parts are busy, and both wholes say no", {E: 0.0, U: 0.0, T: 0.5}, H100, "its counters contradict each other"),
    ("only parts are known", {T: 0.3, D: 0.2}, H100, "its counters contradict each other"),
    ("a slice with a lost engine", {E: 0.0, D: 0.4}, SLICE, "its counters contradict each other"),
    ("a slice with its engine alone", {E: 0.0}, SLICE, f"only {E} says"),
    ("utilisation of a slice is its board's", {U: 0.9}, SLICE, "no signal that tells of time"),
    ("a slice and its board's utilisation", {E: 0.0, U: 0.0}, SLICE, f"only {E} says"),
]


@pytest.mark.parametrize(("signals", "device", "share"), [row[1:] for row in KNOWN], ids=[row[0] for row in KNOWN])
def test_what_is_known(signals, device, share):
    assert judge(signals, device) == share


@pytest.mark.parametrize(("signals", "device", "why"), [row[1:] for row in UNKNOWN], ids=[row[0] for row in UNKNOWN])
def test_what_is_not_known(signals, device, why):
    found = judge(signals, device)
    assert isinstance(found, Unknown)
    assert found.reason.startswith(why)


@pytest.mark.parametrize(
    ("metric", "value", "sound"),
    [
        (ENGINE_ACTIVE, 0.5, 0.5),
        (ENGINE_ACTIVE, 1.00005, 1.0),
        (ENGINE_ACTIVE, 1.1, "out of range"),
        (GPU_UTIL, 55.0, 0.55),
        (GPU_UTIL, 101.0, "out of range"),
        (MEMORY_USED, 81_559.0, 81_559.0),
        (MEMORY_USED, 42949672.95, "out of range"),
        (POWER, 699.5, 699.5),
        (POWER, 4294967295.0, "out of range"),
        (POWER, -1.0, "negative"),
        (POWER, float("nan"), "not a number"),
        (POWER, float("-inf"), "not a number"),
    ],
)
def test_a_value_is_sound_or_has_a_reason_why_not(metric, value, sound):
    assert checked(metric, value) == sound
