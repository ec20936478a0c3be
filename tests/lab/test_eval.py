"""`./dev eval`: the question set fits the demo courses, and the figures are computed correctly."""

import tomllib

import pytest

from courses import markdown
from devstack.demo import COURSES as DEMO_COURSES
from tests.lab.eval import answers, main, questions, retrieval
from tests.lab.eval.answers import Outcome, Shown
from tests.lab.eval.questions import Question
from tests.lab.eval.retrieval import Found

ASKED = questions.load()
PLAIN = Question("sql", "What is a join?", "plain", "05-joins", "LEFT JOIN")
UNKNOWN = Question("sql", "Who won?", "unanswerable")
JOIN = Shown("5", "Joins > LEFT JOIN", "A left join keeps every row of the left table.", True, True)
NULL = Shown("3", "NULL", "NULL stands for a value that is not known.", False, True)
FOREIGN = Shown("9", "Honey", "Bees make honey.", False, False)


def outcome(question, text, cited=(), raw=None):
    return Outcome(question, [JOIN, NULL, FOREIGN], raw or text, text, list(cited))


def test_question_set_has_the_required_size():
    kinds = [question.kind for question in ASKED]
    assert sum(question.is_answerable for question in ASKED) >= 60
    assert kinds.count("unanswerable") >= 15 and kinds.count("typo") >= 10 and kinds.count("paraphrase") >= 10
    assert len({(question.course, question.text) for question in ASKED}) == len(ASKED)


def test_every_expected_section_exists_in_its_course():
    for question in ASKED:
        if question.is_answerable:
            lesson = (DEMO_COURSES / question.course / f"{question.lesson}.md").read_text()
            found = [p for p in markdown.cut(lesson) if question.is_answered_by(question.lesson, p.heading)]
            assert found, question
        else:
            assert (DEMO_COURSES / question.course).is_dir() and not question.lesson + question.heading, question


def test_ranks_give_recall_and_reciprocal_rank():
    places = [1, 2, 5, 6, 0]
    assert retrieval.recall(places) == 60
    assert retrieval.reciprocal_rank(places) == pytest.approx((1 + 1 / 2 + 1 / 5 + 1 / 6) / 5)
    found = [Found(PLAIN, dict.fromkeys(retrieval.WAYS, place)) for place in places]
    assert "| plain | 5 | 60 % | 0.37 |" in retrieval.render(found)


def test_citation_has_to_name_a_passage_of_the_prompt_and_of_the_course():
    right, wrong_place, no_passage, foreign = (
        outcome(PLAIN, "x", [citation])
        for citation in [(1, "5", JOIN.heading), (1, "3", "NULL"), (7, "5", JOIN.heading), (3, "9", "Honey")]
    )
    assert [o.invalid for o in (right, wrong_place, no_passage, foreign)] == [0, 1, 1, 1]
    assert (right.cites_the_answer, foreign.cites_the_answer) == (True, False)


def test_invented_citations_are_counted_before_they_are_removed():
    assert outcome(PLAIN, "One [1].", raw="One [1]. Two [9], three [3](https://x.example).").invented == 1


def test_statement_is_supported_if_its_citations_contain_its_words():
    text = "A left join keeps every row of the left table [1]. Bananas ripen in paper bags [2]. Uncited words."
    assert outcome(PLAIN, text).supports() == [True, False]


@pytest.mark.parametrize(
    "text",
    [
        "This is not in the course material. What it does cover: *Joins* [1].",
        "The course doesn't cover that.",
        "That isn't part of this course.",
        "I found nothing about it in the lessons.",
        "The passages do not mention who won.",
    ],
)
def test_refusal_is_recognised(text):
    assert outcome(UNKNOWN, text).refused


@pytest.mark.parametrize(
    "text",
    ["NULL is not a value [2].", "NOT IN returns nothing when there is a NULL [2].", "So [1].\n\nNot in the course."],
)
def test_answer_is_not_taken_for_a_refusal(text):
    assert not outcome(PLAIN, text).refused


def test_figures_separate_correct_from_wrong_refusals():
    refusal, answer = "This is not in the course material.", "A left join keeps every row [1]."
    cited = [(1, "5", JOIN.heading)]
    figures = answers.figures(
        [
            outcome(PLAIN, refusal),
            outcome(PLAIN, answer, cited),
            outcome(PLAIN, "No citation."),
            outcome(UNKNOWN, answer),
        ]
    )
    assert figures["refused_plain"] == figures["refused_answerable"] == pytest.approx(100 / 3)
    assert figures["refused_unanswerable"] == 0
    assert figures["answers_without_citation"] == figures["answers_citing_the_section"] == 50


def test_thresholds_decide_the_result():
    limits = {"at_least": {"recall": 70}, "at_most": {"invalid": 0}}
    rows, is_good = main.judge({"recall": 70, "invalid": 0, "else": 1}, limits)
    assert is_good and [row[-1] for row in rows] == ["met", "met", ""]
    rows, is_good = main.judge({"recall": 69.9, "invalid": 1}, limits)
    assert not is_good and [row[-1] for row in rows] == ["**missed**", "**missed**"]


def test_every_threshold_is_measured():
    found = [Found(question, dict.fromkeys(retrieval.WAYS, 1)) for question in ASKED if question.is_answerable]
    limits = tomllib.loads(main.THRESHOLDS.read_text())
    assert main.judge(main.figures(found, [outcome(question, "x") for question in ASKED]), limits)
