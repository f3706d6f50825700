"""What is asked within one step of the present is computed once; a failure is not kept."""

import asyncio

import pytest

from gpucost.core.clock import SECOND
from gpucost.runtime.answers import STEP, Answers, step


class Counting:
    """Answers with how often it was asked; fails while `broken`."""

    def __init__(self):
        self.asked, self.broken, self.free = 0, False, asyncio.Event()
        self.free.set()

    async def __call__(self):
        self.asked += 1
        await self.free.wait()
        if self.broken:
            raise OSError("away")
        return self.asked


async def test_who_asks_while_it_is_computed_gets_the_same_answer():
    answers, ask = Answers(), Counting()
    ask.free.clear()
    waiting = [asyncio.create_task(answers.get(1, "q", ask)) for _ in range(5)]
    await asyncio.sleep(0)
    ask.free.set()
    assert await asyncio.gather(*waiting) == [1] * 5
    assert await answers.get(1, "q", ask) == 1
    assert await answers.get(1, "other", ask) == 2
    assert await answers.get(2, "q", ask) == 3


async def test_one_who_gives_up_does_not_take_the_answer_from_the_others():
    answers, ask = Answers(), Counting()
    ask.free.clear()
    first, second = (asyncio.create_task(answers.get(1, "q", ask)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    ask.free.set()
    assert await second == 1


async def test_a_failure_is_not_kept():
    answers, ask = Answers(), Counting()
    ask.broken = True
    with pytest.raises(OSError, match="away"):
        await answers.get(1, "q", ask)
    ask.broken = False
    assert await answers.get(1, "q", ask) == 2


def test_the_present_advances_in_steps_and_is_never_ahead():
    now = 1_793_491_203 * SECOND
    assert now - STEP < step(now) <= now
    assert step(step(now)) == step(now)
