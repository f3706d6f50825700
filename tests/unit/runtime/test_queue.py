"""Keys are handed out once, again when they changed meanwhile, and at the wished-for instant."""

import asyncio
import time

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
