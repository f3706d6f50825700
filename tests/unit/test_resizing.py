"""A node that shows another size does not change what was before."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from gpucost.core.clock import HOUR, MINUTE
from gpucost.core.model import EarlierSize, Resources
from gpucost.core.resizing import SETUP, resized
from support.ledger_world import at, node

NODE = node(gpus=8)
CUT = replace(NODE, capacity=Resources(gpus=Fraction(15, 14)), physical_gpus=1)


def test_what_is_shown_first_holds_from_the_beginning():
    assert resized(None, NODE, at(3)) == NODE
    assert resized(node(gpus=0), NODE, at(3)) == NODE


def test_a_plugin_that_restarts_takes_no_gpus_away():
    assert resized(NODE, node(gpus=0), at(3)) == NODE
    assert resized(CUT, node(gpus=0), at(3)) == CUT


def test_a_new_layout_counts_from_when_it_is_seen():
    found = resized(NODE, CUT, at(3))
    assert found == replace(CUT, earlier=(EarlierSize(at(3), Resources(gpus=8)),))
    assert resized(found, CUT, at(4)) == found
    again = resized(found, NODE, at(5))
    assert [size.until for size in again.earlier] == [at(3), at(5)]
    assert (again.capacity.gpus, again.physical_gpus) == (8, 0)


def test_a_size_of_a_moment_was_none():
    wrong = node(gpus=32)
    shown = resized(NODE, wrong, at(3))
    assert resized(shown, NODE, at(3) + MINUTE - 1) == NODE
    assert resized(shown, CUT, at(3) + MINUTE - 1) == replace(CUT, earlier=(EarlierSize(at(3), Resources(gpus=8)),))
    assert [size.until for size in resized(shown, CUT, at(3) + MINUTE).earlier] == [at(3), at(3) + MINUTE]


def test_sizes_stay_in_order_when_the_clock_goes_back():
    changed = resized(resized(NODE, CUT, at(3)), NODE, at(4))
    assert [size.until for size in changed.earlier] == [at(3), at(4)]
    for back in (at(4) - MINUTE, at(2)):
        found = [size.until for size in resized(changed, node(gpus=7), back).earlier]
        assert found == sorted(found)


def test_what_is_shown_while_a_node_is_set_up_was_so_from_the_beginning():
    assert resized(NODE, CUT, NODE.start + SETUP - 1) == CUT


def test_the_end_and_the_traits_are_those_that_are_shown():
    found = resized(NODE, replace(CUT, end=at(9), gpu_model="H100"), at(3))
    assert (found.end, found.gpu_model, found.start) == (at(9), "H100", NODE.start)
    assert next(found.sizes(at(2), at(2) + HOUR))[1].capacity.gpus == 8
