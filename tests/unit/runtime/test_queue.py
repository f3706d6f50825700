"""Keys are handed out once, again when they changed meanwhile, and at the wished-for instant."""

import asyncio
import time

from hypothesis import given
from hypothesis import strategies as st

from gpucost.core.clock import SECOND
from gpucost.core.model import Key
from gpucost.runtime.queue import DirtyKeys

A, B = Key("ns", "a"), Key("ns", "b")


def now():
    return time.time_ns() // 1000


async def take(keys):
    return await asyncio.wait_for(keys.take(), 5)


async def nothing(keys):
    try:
        await asyncio.wait_for(keys.take(), 0.05)
    except TimeoutError:
        return True
    return False


async def test_marks_are_coalesced():
    keys = DirtyKeys(now)
    for _ in range(3):
        keys.mark(A)
    assert await take(keys) == A
    assert await nothing(keys)


async def test_a_key_marked_during_its_work_comes_again_only_afterwards():
    keys = DirtyKeys(now)
    keys.mark(A)
    assert await take(keys) == A
    keys.mark(A)
    assert await nothing(keys)
    keys.done(A)
    assert await take(keys) == A


async def test_a_waiting_taker_gets_a_new_key_at_once():
    keys = DirtyKeys(now)
    taker = asyncio.create_task(take(keys))
    await asyncio.sleep(0)
    keys.mark(B)
    assert await taker == B


async def test_a_key_wakes_at_its_instant():
    keys = DirtyKeys(now)
    keys.wake_at(A, now() + SECOND // 10)
    assert await take(keys) == A


async def test_a_later_wish_replaces_the_earlier_one():
    clock = [0]
    keys = DirtyKeys(lambda: clock[0])
    keys.wake_at(A, 10)
    keys.wake_at(A, 20)
    clock[0] = 15
    assert await nothing(keys)
    clock[0] = 20
    assert await take(keys) == A


async def test_a_forgotten_key_never_comes():
    clock = [0]
    keys = DirtyKeys(lambda: clock[0])
    keys.mark(A)
    keys.wake_at(A, 10)
    keys.forget(A)
    clock[0] = 20
    assert await nothing(keys)


async def test_the_keys_of_one_namespace_leave_room_for_those_of_others():
    keys = DirtyKeys(now, at_once=2)
    stuck = [Key("stuck", str(number)) for number in range(5)]
    for key in stuck:
        keys.mark(key)
    assert [await take(keys) for _ in range(2)] == stuck[:2]
    assert await nothing(keys)
    keys.mark(A)
    assert await take(keys) == A
    waiting = asyncio.create_task(take(keys))
    await asyncio.sleep(0)
    keys.done(stuck[0])
    assert await waiting == stuck[2]
    assert len(keys) == 5


async def test_namespaces_take_turns():
    keys = DirtyKeys(now, at_once=10)
    for number in range(3):
        keys.mark(Key("many", str(number)))
    keys.mark(A)
    assert [(await take(keys)).namespace for _ in range(4)] == ["many", "ns", "many", "many"]


@given(st.lists(st.tuples(st.sampled_from(["mark", "take", "done", "forget"]), st.integers(0, 11)), max_size=60))
def test_whatever_happens_a_marked_key_is_handed_out_in_the_end(steps):
    async def world():
        keys, working, owed = DirtyKeys(now, at_once=2), [], set()
        for what, number in steps:
            key = Key(f"ns{number % 3}", str(number))
            if what == "mark":
                keys.mark(key)
                owed.add(key)
            elif what == "forget":
                keys.forget(key)
                owed.discard(key)
            elif what == "done" and working:
                keys.done(working.pop(0))
            elif what == "take" and keys._next() is not None:
                working.append(await take(keys))
                owed.discard(working[-1])
        while working:
            keys.done(working.pop(0))
            while keys._next() is not None:
                working.append(await take(keys))
                owed.discard(working[-1])
            assert len({*working}) == len(working)
        while keys._next() is not None:
            key = await take(keys)
            owed.discard(key)
            keys.done(key)  # else a third key of one namespace waits for it
        assert not owed

    asyncio.run(world())
