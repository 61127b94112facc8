"""A budget lets no more than half of what is left be at risk at once, and a kill leaves no more in doubt."""

from __future__ import annotations

import asyncio

from distillery.components.labeling.budget import Budget, most_in_doubt


def test_no_more_than_half_of_what_is_left_is_at_risk() -> None:
    async def work() -> list[int]:
        budget, at_once, seen = Budget(10.5), 0, list[int]()

        async def call() -> None:
            nonlocal at_once
            if await budget.reserve(1.0):
                at_once += 1
                seen.append(at_once)
                risked = budget.reserved + budget.unkept
                assert risked <= max(1.0, (budget.limit - budget.spent + budget.unkept) / 2) + 1e-9
                await asyncio.sleep(0.001)
                at_once -= 1
                budget.settle(1.0, 0.1, kept=False)
                await asyncio.sleep(0.001)  # until it is durable
                budget.keep(0.1)

        await asyncio.gather(*(call() for _ in range(120)))
        assert budget.unkept == budget.reserved == 0
        return seen

    seen = asyncio.run(work())
    assert max(seen) == 5
    assert len(seen) == 96, "all but the last call's worst case is used"


def test_what_a_kill_left_in_doubt_is_what_the_budget_let_be_at_risk() -> None:
    assert most_in_doubt(64.0, 1.0, float("inf"), 0.0) == 64.0
    assert most_in_doubt(64.0, 1.0, 10.5, 0.0) == 5.25
    assert most_in_doubt(64.0, 1.0, 10.5, 9.0) == 1.0
    assert most_in_doubt(2.0, 1.0, 100.0, 9.0) == 2.0
