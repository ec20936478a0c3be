"""The benchmark's statistics, and that its report says what was measured."""

import pytest

from devstack.bench import report
from devstack.bench.report import Result, Row
from devstack.bench.stats import mean, percentile, ratio
from devstack.bench.upstream import Latencies, number_of, numbered

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
def test_nothing_measured_is_no_number(wrong):
    with pytest.raises(ValueError):
        wrong()


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (Row("", 24.9, "ms", 25), "met"),
        (Row("", 25.0, "ms", 25), "**missed**"),
        (Row("", 1.15, "x", 1.15, inclusive=True), "met"),
        (Row("", 1.151, "x", 1.15, inclusive=True), "**missed**"),
        (Row("", 99.0, "ms"), ""),
    ],
)
def test_verdict(row, verdict):
    assert row.verdict == verdict


def test_report_is_a_markdown_table_with_the_machine_above_it():
    met = Result("accept", [Row("POST, p50", 12.34, "ms", 25)], ["450 posts"], {"Daphne": 11.0, "worker": 52.25})
    missed = Result("lessons", [Row("GET, p99 against idle", 2.5, "x", 2, inclusive=True)])
    text = report.render(report.machine(3.0), [met, missed])
    assert text.startswith("Machine: ") and "cores" in text.splitlines()[0] and "Python 3" in text.splitlines()[0]
    assert "| POST, p50 | 12.3 ms | < 25.0 ms | met |" in text
    assert "| GET, p99 against idle | 2.50x | <= 2.00x | **missed** |" in text
    assert "- accept: 450 posts" in text
    assert "| accept | 11.0 | 52.2 |" in text
    assert (met.is_met, missed.is_met) == (True, False)


def test_a_question_is_recognised_in_the_upstreams_journal():
    question = numbered("What is NULL?", 17)
    assert number_of({"body": {"input": [question]}}) == 17
    assert (
        number_of({"body": {"messages": [{"content": "rules"}, {"content": f"<question>{question}</question>"}]}}) == 17
    )
    assert number_of({"body": {"input": ["What is NULL?"]}}) == -1
    assert Latencies(embedding=0.2, first_token=0.5, stream=3.0).total == pytest.approx(3.7)
