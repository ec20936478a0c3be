"""Starts the servers, asks the question set, prints the figures and compares them with the thresholds."""

from __future__ import annotations

import argparse
import asyncio
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab import people
from tests.lab.eval import answers, questions, retrieval, upstream
from tests.lab.eval.answers import Outcome
from tests.lab.eval.questions import Question
from tests.lab.eval.retrieval import Found
from tests.lab.report import say, table
from tests.lab.rig import Rig

THRESHOLDS = Path(__file__).with_name("thresholds.toml")
SHOWN = 8  # examples of each kind of error
Limits = Mapping[str, Mapping[str, float]]


def main(arguments: Sequence[str]) -> int:
    """Evaluate and print; 1 if a figure is beyond its threshold."""
    parser = argparse.ArgumentParser(prog="./dev eval", description="How well are passages found, cited and refused?")
    parser.add_argument("--details", action="store_true", help="list the questions that went wrong")
    details: bool = parser.parse_args(arguments).details
    asked, uses_openai = questions.load(), upstream.uses_openai()
    say("starting the servers")
    with upstream.own_stack(uses_openai) as (parts, data):
        people.load_demo()
        if uses_openai:
            say(upstream.estimate(_passages(), [question.text for question in asked]))
        worker = Rig(parts, data, [])
        worker.start_worker()
        people.wait_until_embedded()
        worker.end_workers()
        found, outcomes = asyncio.run(_run(asked))
    rows, is_good = judge(figures(found, outcomes), tomllib.loads(THRESHOLDS.read_text(encoding="utf-8")))
    print(retrieval.render(found), table(["measured", "result", "threshold", "verdict"], rows), sep="\n\n")
    if details:
        print("", *wrong(found, outcomes), sep="\n")
    return 0 if is_good else 1


def figures(found: Sequence[Found], outcomes: Sequence[Outcome]) -> dict[str, float]:
    """All figures, by the names that the thresholds use."""

    def recall(kind: str) -> float:
        return retrieval.recall(retrieval.places([one for one in found if one.question.kind == kind], "hybrid"))

    places = retrieval.places(found, "hybrid")
    return {
        "recall_at_5": retrieval.recall(places),
        "reciprocal_rank": retrieval.reciprocal_rank(places),
        "recall_at_5_plain": recall("plain"),
        "recall_at_5_typo": recall("typo"),
        **answers.figures(outcomes),
    }


def judge(measured: Mapping[str, float], limits: Limits) -> tuple[list[list[str]], bool]:
    """A row for each figure, and whether all meet their thresholds. Raises KeyError for one that is not measured."""
    at_least, at_most = limits["at_least"], limits["at_most"]
    missed = {name for name, limit in at_least.items() if measured[name] < limit}
    missed |= {name for name, limit in at_most.items() if measured[name] > limit}
    rows = []
    for name, value in measured.items():
        sign = "at least" if name in at_least else "at most"
        limit = at_least.get(name, at_most.get(name))
        verdict = "" if limit is None else "**missed**" if name in missed else "met"
        rows.append([name, f"{value:.4g}", "" if limit is None else f"{sign} {limit:g}", verdict])
    return rows, not missed


def wrong(found: Sequence[Found], outcomes: Sequence[Outcome]) -> list[str]:
    """Examples of each kind of error."""
    answerable = [one for one in outcomes if one.question.is_answerable]
    kinds = {
        "not among the first five": [one.question.text for one in found if not 1 <= one.places["hybrid"] <= 5],
        "refused although the course answers": [one.question.text for one in answerable if one.refused],
        "answered although the course does not": [
            f"{one.question.text} -> {' '.join(one.answer.split())[:160]}"
            for one in outcomes
            if not one.question.is_answerable and not one.refused
        ],
        "cited other sections": [
            one.question.text for one in answerable if not one.refused and not one.cites_the_answer
        ],
    }
    return [
        line
        for kind, texts in kinds.items()
        for line in (f"{kind}: {len(texts)}", *(f"- {text}" for text in texts[:SHOWN]))
    ]


def _passages() -> list[str]:
    """The texts that will be embedded."""
    from courses.models import Passage

    return [passage.embeddable for passage in Passage.objects.select_related("lesson")]


async def _run(asked: Sequence[Question]) -> tuple[list[Found], list[Outcome]]:
    from asgiref.sync import sync_to_async

    from llm.governor import Caller

    answerable = [question for question in asked if question.is_answerable]
    async with upstream.gateway() as llm_for:
        llm = llm_for(Caller(priority=2, flow="eval"))
        vectors = await llm.embed("embedding", [question.text for question in answerable])
        find = sync_to_async(retrieval.find)
        found = [await find(question, vector) for question, vector in zip(answerable, vectors, strict=True)]
        say("searched; now answering")
        return found, await answers.ask_all(asked, llm)
