"""The benchmark's statistics, report and viewer."""

import itertools

import pytest

from tests.lab import people, report
from tests.lab.bench import main
from tests.lab.bench.load import Answer, Person
from tests.lab.bench.scenarios import BY_DEFAULT, SCENARIOS, outage
from tests.lab.bench.watched import Watched
from tests.lab.report import Result, Row
from tests.lab.stats import mean, percentile, ratio
from tests.lab.upstream import Latencies, number_of

HUNDRED = [float(n) for n in range(100, 0, -1)]


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        (HUNDRED, 50, 50),
        (HUNDRED, 99, 99),
        (HUNDRED, 100, 100),
        (HUNDRED, 0, 1),
        ([7.0], 99, 7.0),
        ([1.0, 2.0], 50, 1.0),
        ([1.0, 2.0], 51, 2.0),
    ],
)
def test_percentile_is_a_value_that_occurred(values, percent, expected):
    assert percentile(values, percent) == expected


def test_ratio_and_mean():
    assert ratio(30, 20) == 1.5
    assert mean([1, 2, 6]) == 3


@pytest.mark.parametrize("wrong", [lambda: percentile([], 50), lambda: mean([]), lambda: ratio(1, 0)])
def test_statistics_of_no_values_raise(wrong):
    with pytest.raises(ValueError):
        wrong()


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (Row("", 24.9, "ms", 25), "met"),
        (Row("", 25.0, "ms", 25), "**missed**"),
        (Row("", 1.15, "x", 1.15, inclusive=True), "met"),
        (Row("", 1.151, "x", 1.15, inclusive=True), "**missed**"),
        (Row("", 20.0, "x", 20, at_least=True), "met"),
        (Row("", 19.9, "x", 20, at_least=True), "**missed**"),
        (Row("", 99.0, "ms"), ""),
    ],
)
def test_verdict(row, verdict):
    assert row.verdict == verdict


def test_row_says_which_side_of_the_target_is_good():
    assert Row("share", 96.04, "%", 95, at_least=True).cells() == ["share", "96.0 %", ">= 95.0 %", "met"]
    assert Row("failed jobs", 0, "", 0, inclusive=True).cells() == ["failed jobs", "0", "<= 0", "met"]


def test_report_is_a_markdown_table_with_the_machine_above_it():
    met = Result("accept", [Row("POST, p50", 12.34, "ms", 25)], ["450 posts"], {"Daphne": 11.0, "worker": 52.25})
    missed = Result("lessons", [Row("GET, p99 against idle", 2.5, "x", 2, inclusive=True)])
    text = report.render(report.machine(seconds=0.1), [met, missed])
    assert text.startswith("Machine: ") and "cores" in text.splitlines()[0] and "Python 3" in text.splitlines()[0]
    assert "| POST, p50 | 12.3 ms | < 25.0 ms | met |" in text
    assert "| GET, p99 against idle | 2.50x | <= 2.00x | **missed** |" in text
    assert "- accept: 450 posts" in text
    assert "| accept | 11.0 | 52.2 |" in text
    assert (met.is_met, missed.is_met) == (True, False)


def test_a_question_is_recognised_in_the_upstreams_journal():
    question = people.question(17)
    assert number_of({"body": {"input": [question]}}) == 17
    assert (
        number_of({"body": {"messages": [{"content": "rules"}, {"content": f"<question>{question}</question>"}]}}) == 17
    )
    assert number_of({"body": {"input": ["What is NULL?"]}}) == -1
    assert Latencies(embedding=0.2, first_token=0.5, stream=3.0).total == pytest.approx(3.7)


async def test_viewer_records_starts_of_attempts_and_delays_of_events():
    person = Person(None, "token", itertools.count(1))

    def hear(attempt, seq, kind, late):
        event = {"jobId": "j", "attempt": attempt, "seq": seq, "type": kind, "at": "2026-01-01T00:00:00.000+00:00"}
        person._note(event, 1767225600.0 + late)

    hear(1, 1, "job.started", 0.1)
    hear(1, 2, "job.delta", 0.2)
    hear(2, 1, "job.started", 3.0)
    hear(2, 2, "job.delta", 3.1)
    hear(2, 3, "job.completed", 4.0)
    [watched] = person.watched
    assert {attempt: at - 1767225600 for attempt, at in watched.attempts.items()} == {1: pytest.approx(0.1), 2: 3.0}
    assert person.lags == pytest.approx([0.1, 0.2, 3.0, 3.1, 4.0])
    assert watched.ended.result() - watched.first_delta_at == pytest.approx(3.8)


async def test_viewer_backs_off_while_there_are_no_events():
    watched = Watched(heard_at=1000.0)
    silences = []
    while watched.ask_at < 1300:
        silences.append(watched.ask_at - max(watched.asked_at, watched.heard_at))
        watched.asked, watched.asked_at = watched.asked + 1, watched.ask_at
    assert silences == sorted(silences)
    assert (silences[0], len(silences)) == (10, 7)
    watched.heard_at, watched.asked, watched.retry_at = 1290.0, 0, 1315.0
    assert watched.ask_at == 1325


def test_answers_in_the_wrong_order_are_counted():
    def answer(posted, ended):
        return Answer(0, "", "", posted, 0, 0, ended, False, {})

    step = outage.QUESTIONS_PER_SECOND * 60
    in_order = [answer(n, 1000 + n) for n in range(2 * step)]
    assert outage.overtaken(in_order) == 0
    assert outage.overtaken([answer(n, 1000 - n) for n in range(2 * step)]) == 1


def test_every_scenario_but_the_longest_runs_by_default():
    assert set(SCENARIOS) - set(BY_DEFAULT) == {"outage"}


def test_only_named_scenarios_run():
    assert main.chosen(["--only", "accept", "limits"]) == ["accept", "limits"]
    assert main.chosen([]) == BY_DEFAULT
    with pytest.raises(SystemExit):
        main.chosen(["--only", "nothing"])
