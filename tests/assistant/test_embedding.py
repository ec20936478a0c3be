"""A passage that the embedding model rejects is marked, and all others are embedded."""

import json
import math

import pytest
from aiohttp import web

from assistant import pipeline
from courses import search
from courses.ingestion import ingest
from courses.models import Course, Passage
from llm import sdk
from llm.client import Llm
from llm.config import LlmConfig
from tests.support import run_pending, unique

HUGE = "word " * 10_000  # more than the model takes
DIMENSIONS = 4


@pytest.fixture
def course(tmp_path):
    folder = tmp_path / unique("knots")
    folder.mkdir()
    (folder / "course.toml").write_text('title = "Knots"\nsummary = "Tie them."')
    sections = "".join(f"## Knot {n}\n\nHow to tie the bowline number {n}.\n\n" for n in range(70))
    (folder / "01-knots.md").write_text(f"# Knots\n\n{sections}")
    yield ingest(folder)
    Course.objects.filter(slug=folder.name).delete()


def embed(course):
    return run_pending("assistant.embedding", {"courseId": course.pk})


def spoil(course, *positions):
    Passage.objects.filter(course=course, position__in=positions).update(text=HUGE)


def rejected(course):
    return list(course.passages.filter(embedding__isnull=True).order_by("position").values_list("position", flat=True))


@pytest.mark.parametrize("positions", [[0], [63], [64, 69], [3, 4, 40]])
def test_rejected_passages_are_marked_and_the_others_embedded(course, simulator, positions):
    spoil(course, *positions)
    job = embed(course)
    assert job.status == "completed"
    assert job.result == {"embedded": 70 - len(positions), "rejected": len(positions)}
    assert rejected(course) == positions
    for passage in course.passages.filter(embedding__isnull=True):
        assert "maximum context length" in passage.embedding_problem and "word word" not in passage.embedding_problem
    assert not course.passages.filter(embedding__isnull=False).exclude(embedding_problem="").exists()
    assert len(simulator.requests()) < 20 * len(positions)


def test_rejected_passage_is_found_by_its_words_and_embedded_once_the_model_takes_it(course):
    passage = course.passages.get(position=7)
    Passage.objects.filter(pk=passage.pk).update(text=f"sheepshank {HUGE}")
    embed(course)
    assert search.hybrid(course.pk, "sheepshank", None)[0].heading == "Knot 7"
    Passage.objects.filter(pk=passage.pk).update(text="sheepshank")
    assert embed(course).result == {"embedded": 1}
    passage.refresh_from_db()
    assert passage.embedding is not None and passage.embedding_problem == ""


def test_job_fails_if_the_model_rejects_everything(course, simulator):
    Passage.objects.filter(course=course).update(text=HUGE)
    job = embed(course)
    assert (job.status, job.error_code) == ("failed", "upstream_rejected")
    assert len(simulator.requests()) < 40
    Passage.objects.filter(course=course, position__gt=0).delete()
    job = embed(course)
    assert (job.status, job.error_code) == ("failed", "not_embedded")
    assert "maximum context length" in course.passages.get().embedding_problem


def test_other_failures_are_not_blamed_on_the_passages(course, simulator):
    simulator.fault("401", "embeddings")
    assert embed(course).error_code == "upstream_auth"
    assert not course.passages.exclude(embedding_problem="").exists()
    simulator.clear_faults()
    simulator.fault("500", "embeddings", times=1)
    assert embed(course).result == {"embedded": 70}


def test_staff_see_which_passages_were_rejected(course, platform, staff):
    spoil(course, 5)
    embed(course)
    with platform.browser_session(staff) as browser:
        page = browser.get(f"/admin/courses/passage/?embedding_problem__isempty=0&course__id__exact={course.pk}").text
        assert "Knot 5" in page and "maximum context length" in page and "Knot 6" not in page
        shown = browser.get(f"/admin/courses/passage/{course.passages.get(position=5).pk}/change/").text
        assert "maximum context length" in shown


@pytest.fixture
async def odd_llm():
    """A gateway to a server that gives bad vectors for some texts, and rejects batches of more than ten."""

    def vector(text):
        values = {"wide": [0.1] * (DIMENSIONS + 1), "nan": [0.1, math.nan, 0, 0], "inf": [1e39, 0, 0, 0], "none": []}
        return values.get(text, [0.1] * DIMENSIONS)

    async def embeddings(request):
        texts = (await request.json())["input"]
        if len(texts) > 10:
            return web.json_response({"error": {"message": "at most 10"}}, status=400)
        data = [{"index": index, "embedding": vector(text)} for index, text in enumerate(texts)]
        return web.Response(text=json.dumps({"data": data}), content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/embeddings", embeddings)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    config = LlmConfig("key", f"http://127.0.0.1:{port}/v1", "chat", "fast", "embedding", DIMENSIONS)
    client = sdk.connect(config)
    yield Llm(client, config, lambda call: None)
    await client.close()
    await runner.cleanup()


async def test_bad_vectors_concern_their_texts_only(odd_llm):
    texts = [*("good" for _ in range(15)), "wide", "good", "nan", "none", "inf", "good"]
    outcomes = await pipeline.embed(texts, odd_llm)
    bad = {text: outcome for text, outcome in zip(texts, outcomes, strict=True) if text != "good"}
    assert all(isinstance(problem, str) and problem for problem in bad.values()), bad
    good = [outcome for text, outcome in zip(texts, outcomes, strict=True) if text == "good"]
    assert len(good) == 17 and all(len(vector) == DIMENSIONS for vector in good)


@pytest.mark.parametrize("vector", [[0.1] * 5, [math.nan] * 1536, [math.inf] * 1536, []])
def test_question_with_a_bad_vector_is_searched_by_its_words(sql_course, vector):
    found = search.hybrid(sql_course.pk, "COALESCE", vector)
    assert found and found == search.hybrid(sql_course.pk, "COALESCE", None)
