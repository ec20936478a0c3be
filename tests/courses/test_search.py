"""Passages are found by meaning and by words, inside one course."""

import httpx2
import pytest

from courses.models import Course, Lesson, Passage
from courses.search import hybrid
from devstack.servers.stack import SIMULATOR_KEY
from tests.support import unique

NOWHERE = [1.0] + [0.0] * 1535  # orthogonal to the embedding of every text


@pytest.fixture
def embedding_of(simulator):
    """The simulator's embedding of a text."""

    def embed(text):
        body = {"model": "text-embedding-3-small", "input": text, "dimensions": 1536}
        headers = {"Authorization": f"Bearer {SIMULATOR_KEY}"}
        answer = httpx2.post(f"{simulator.url}/v1/embeddings", json=body, headers=headers)
        return answer.json()["data"][0]["embedding"]

    return embed


@pytest.fixture
def passage(sql_course):
    return sql_course.passages.filter(text__contains="COALESCE").first()


@pytest.fixture
def course():
    """A course of three passages whose embeddings the test chooses."""
    course = Course.objects.create(slug=unique("search"), title="Search")
    lesson = Lesson.objects.create(course=course, slug="one", position=1, title="One", body="")
    for position, text in enumerate(["anchors and chains", "sails and masts", "anchors and sails"]):
        Passage.objects.create(course=course, lesson=lesson, position=position, text=text, content_hash=str(position))
    yield course
    course.delete()


def texts(hits):
    return [hit.text for hit in hits]


def embed(course, text, vector):
    course.passages.filter(text=text).update(embedding=vector)


def test_passage_is_found_by_meaning_alone(sql_course, passage):
    hits = hybrid(sql_course.pk, "xyzzy", passage.embedding)
    assert hits[0].text == passage.text
    assert (hits[0].lesson_id, hits[0].lesson_title) == (passage.lesson_id, passage.lesson.title)


def test_passage_is_found_by_words_alone(course):
    assert texts(hybrid(course.pk, "Where is the mast?", None)) == ["sails and masts"]


def test_passage_without_embedding_is_found_by_its_words(course):
    embed(course, "sails and masts", NOWHERE)
    assert "anchors and chains" in texts(hybrid(course.pk, "chain", NOWHERE))


def test_passage_is_found_by_words_of_its_heading(course):
    course.passages.filter(text="sails and masts").update(heading="Rigging")
    assert texts(hybrid(course.pk, "rigging", None)) == ["sails and masts"]


def test_rare_word_counts_more_than_a_frequent_common_one(course):
    course.passages.filter(text="anchors and sails").update(text="sails, sails, sails, sails and more sails")
    course.passages.filter(text="anchors and chains").update(text="sails")
    assert texts(hybrid(course.pk, "sails or mast?", None))[0] == "sails and masts"


def test_passage_found_by_both_searches_comes_first(course):
    near = [0.9, 0.4] + [0.0] * 1534
    embed(course, "sails and masts", NOWHERE)
    embed(course, "anchors and chains", near)
    hits = hybrid(course.pk, "chains", NOWHERE)
    assert texts(hits) == ["anchors and chains", "sails and masts"]
    assert hits[0].score > hits[1].score


def test_question_finds_its_lesson(sql_course, embedding_of):
    question = "What does COALESCE return?"
    assert hybrid(sql_course.pk, question, embedding_of(question))[0].lesson_title == "NULL and three-valued logic"


def test_other_courses_are_never_searched(sql_course, bees_course):
    passage = bees_course.passages.filter(text__icontains="varroa").first()
    by_words, by_meaning = hybrid(sql_course.pk, "varroa mites", None), hybrid(sql_course.pk, "", passage.embedding)
    assert by_words == []
    assert {hit.lesson_id for hit in by_meaning} <= set(sql_course.lessons.values_list("pk", flat=True))
    assert passage.text in texts(hybrid(bees_course.pk, "varroa mites", passage.embedding))


@pytest.mark.parametrize("vector", [None, NOWHERE])
def test_unrelated_question_finds_nothing(sql_course, vector):
    assert hybrid(sql_course.pk, "xyzzy plugh", vector) == []


def test_distant_embeddings_do_not_count(course):
    embed(course, "sails and masts", [0.1, 0.99] + [0.0] * 1534)
    assert hybrid(course.pk, "", NOWHERE) == []


def test_limit_is_respected(sql_course, passage):
    assert len(hybrid(sql_course.pk, "SELECT rows of a table", passage.embedding, limit=3)) == 3


@pytest.mark.parametrize(
    "words",
    [
        "",
        "the of and",
        "'",
        "it's",
        "a & b | !c",
        "chains:*",
        "\\",
        "(",
        "<->",
        "http://x.y/?a=1&b='2'",
        "🐝",
        "\ufffd" * 4000,
    ],
)
def test_query_syntax_in_words_is_harmless(course, words):
    assert isinstance(hybrid(course.pk, words, NOWHERE), list)
