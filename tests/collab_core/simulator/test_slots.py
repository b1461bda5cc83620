from __future__ import annotations

import asyncio

from collab_core.simulator.slots import Slots


async def hold(slots: Slots, name: str, order: list[str], priority: int = 0) -> None:
    async with slots.hold(priority):
        order.append(name)
        await asyncio.sleep(0)


async def test_the_lowest_number_goes_first_then_the_oldest() -> None:
    slots, order = Slots(1), list[str]()
    async with slots.hold():
        waiters = [
            asyncio.create_task(hold(slots, name, order, priority))
            for name, priority in (("c", 5), ("a", 0), ("d", 5), ("b", 0))
        ]
        await asyncio.sleep(0)
        assert (slots.running, slots.waiting) == (1, 4)
    await asyncio.gather(*waiters)
    assert order == ["a", "b", "c", "d"]
    assert (slots.running, slots.waiting) == (0, 0)


async def test_cancelled_waiters_and_holders_free_their_place() -> None:
    slots, order = Slots(1), list[str]()
    holder = asyncio.create_task(asyncio.wait_for(hold_forever(slots), None))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiter = asyncio.create_task(hold(slots, "cancelled", order))
    last = asyncio.create_task(hold(slots, "last", order))
    await asyncio.sleep(0)
    waiter.cancel()
    holder.cancel()
    await asyncio.gather(holder, waiter, return_exceptions=True)
    await last
    assert order == ["last"]
    assert (slots.running, slots.waiting) == (0, 0)


async def hold_forever(slots: Slots) -> None:
    async with slots.hold():
        await asyncio.Event().wait()


async def test_cancelled_at_the_moment_of_its_turn() -> None:
    slots = Slots(1)
    async with slots.hold():
        waiter = asyncio.create_task(hold(slots, "x", []))
        await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    assert slots.running == 0
