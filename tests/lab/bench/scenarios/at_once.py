"""300 people ask one worker a follow-up at the same moment: at the replaced system's latencies, and at triple those."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tests.lab.bench import rows
from tests.lab.bench.cpu import Meter
from tests.lab.bench.load import Answer
from tests.lab.bench.measuring import Bench, usage
from tests.lab.bench.scenarios.answers import MOST_MB, NEAR_IDEAL, most_memory
from tests.lab.report import Result, Row
from tests.lab.stats import percentile
from tests.lab.upstream import AT_ONCE, FOLLOW_UP, UNHURRIED, Latencies

IN_FLIGHT = 300


async def at_once(bench: Bench) -> Result:
    """Each answer's time from claim to end at the viewer, compared with the time of its calls on an idle upstream."""
    await bench.control.begin(AT_ONCE, deltas=1)
    first = await _ask(bench, [None] * IN_FLIGHT)
    conversations = [answer.conversation_id for answer in first]
    result = Result("at_once")
    for latencies in (FOLLOW_UP, UNHURRIED):
        await bench.control.begin(latencies)
        await _measure(bench, latencies, conversations, result)
    return result


async def _measure(bench: Bench, latencies: Latencies, conversations: Sequence[str], result: Result) -> None:
    memory = asyncio.create_task(most_memory(bench.rig.pids["worker"]))
    meter = Meter(bench.rig.pids)
    answers = await _ask(bench, conversations)
    memory.cancel()
    cpu, remarks = usage(meter, answers)
    claimed = await asyncio.to_thread(rows.claimed_at, [answer.job_id for answer in answers])
    ratios = [(answer.ended_at - claimed[answer.job_id]) / latencies.total for answer in answers]
    first_end = min(answer.ended_at for answer in answers)
    together = sum(claim < first_end for claim in claimed.values())
    waited = [claimed[answer.job_id] - answer.posted_at for answer in answers]
    lasted = max(answer.ended_at for answer in answers) - min(answer.posted_at for answer in answers)
    what = f"{IN_FLIGHT} follow-ups at once, of {latencies.total:.1f} s"
    result.rows += [
        Row(f"{what}: from claim to end against the ideal, p50", percentile(ratios, 50), "x"),
        Row("the same, worst", percentile(ratios, 100), "x", NEAR_IDEAL, True),
        Row("of them in flight at one moment", together, ""),
        Row("from POST to claim, p50", percentile(waited, 50), "s"),
        Row("the same, worst", percentile(waited, 100), "s"),
        Row("resident memory of the worker", await memory, "MiB", MOST_MB),
    ]
    result.notes.append(", ".join([f"{what}: all answered {lasted:.1f} s after the first POST", *remarks]))
    result.cpu = result.cpu or cpu


async def _ask(bench: Bench, conversations: Sequence[str | None]) -> list[Answer]:
    """Each person asks in one of these conversations, in a new one where it is None."""
    return await asyncio.gather(
        *(
            person.ask(conversation_id=conversation)
            for person, conversation in zip(bench.crowd.people, conversations, strict=True)
        )
    )
