"""Limits for visitors: exact under concurrency, refused with Retry-After, and free of cost when refused."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from conversations.models import Message
from jobs.models import AiCall, AiJob
from landing import budget
from landing.models import Counter, FaqEntry
from tests.landing.conftest import CONTACT, QUERY, Visitor
from tests.support import perform

ONE_ANSWER = budget.PROMPT_TOKENS + budget.ANSWER_TOKENS


def at_once(calls):
    """The statuses of these calls, made concurrently."""

    def make(call):
        try:
            return call().status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as threads:
        return sorted(threads.map(make, calls))


def refused(response, status, code):
    assert response.status_code == status, response.content
    error = response.json()["error"]
    assert error["code"] == code and error["retryAfter"] == int(response["Retry-After"]) > 0
    return error


def test_questions_of_a_visitor_are_counted_exactly(visitor, settings):
    settings.LANDING_QUESTIONS_PER_VISITOR = 4
    visitor.ask()
    cookie = visitor.cookie.value
    same = [Visitor() for _ in range(8)]
    for other in same:
        other.browser.cookies["visitor"] = cookie
    assert at_once([other.ask for other in same]) == [202] * 3 + [429] * 5
    assert refused(visitor.ask(), 429, "too_many")["retryAfter"] <= 3600
    assert AiJob.objects.count() == Message.objects.count() == 4
    assert Visitor().ask().status_code == 202


def test_questions_of_a_network_are_counted_exactly(site, settings):
    settings.LANDING_QUESTIONS_PER_NETWORK = 5
    neighbours = [Visitor(f"10.0.0.{n}") for n in range(8)]
    assert at_once([neighbour.ask for neighbour in neighbours]) == [202] * 5 + [429] * 3
    assert Visitor("10.0.1.1").ask().status_code == 202
    assert Visitor("2001:db8:0:1::1").ask().status_code == 202


def test_counts_restart_each_hour_and_old_counters_are_deleted(visitor, settings):
    settings.LANDING_QUESTIONS_PER_VISITOR = 1
    visitor.ask()
    refused(visitor.ask(), 429, "too_many")
    Counter.objects.update(until=timezone.now() - timedelta(hours=2))
    assert visitor.ask().status_code == 202
    assert Counter.objects.count() == 2
    assert not Counter.objects.filter(name__contains="10.0").exists()


def test_repeated_request_counts_once(visitor, settings):
    visitor.ask()
    settings.LANDING_QUESTIONS_PER_VISITOR = 2
    answers = [visitor.post(QUERY, {"question": "How much?"}, **{"Idempotency-Key": "k"}) for _ in range(3)]
    assert len({answer.json()["jobId"] for answer in answers}) == 1


def test_retried_answer_counts_again(visitor, settings):
    settings.LANDING_QUESTIONS_PER_VISITOR = 2
    links = visitor.ask().json()["links"]
    assert visitor.post(links["cancel"], {}).status_code == 200
    assert visitor.post(links["self"] + "/retry", {}).status_code == 202
    assert visitor.post(links["cancel"], {}).status_code == 200
    refused(visitor.post(links["self"] + "/retry", {}), 429, "too_many")


def test_client_cannot_choose_its_network(site, settings):
    """Behind proxies neither: tests/config/test_proxies.py."""
    settings.LANDING_QUESTIONS_PER_NETWORK = 1
    assert Visitor("10.0.0.1", **{"X-Forwarded-For": "1.2.3.4"}).ask().status_code == 202
    refused(Visitor("10.0.0.1", **{"X-Forwarded-For": "5.6.7.8"}).ask(), 429, "too_many")


@pytest.mark.parametrize("budgets", [(2 * ONE_ANSWER, 0), (0, 2 * budget._max_cost())], ids=["tokens", "dollars"])
def test_budget_is_exact_and_no_call_is_made_beyond_it(site, settings, simulator, budgets):
    settings.BUDGET_LANDING_TOKENS, settings.BUDGET_LANDING_DOLLARS = budgets
    everybody = [Visitor(f"10.{n}.0.1") for n in range(8)]
    assert at_once([one.ask for one in everybody]) == [202] * 2 + [503] * 6
    refused(Visitor().ask(), 503, "landing_budget")
    assert AiJob.objects.count() == Message.objects.count() == 2
    for job in AiJob.objects.all():
        perform(job.pk)
    assert len(simulator.requests()) == 2
    assert AiJob.objects.filter(status="completed").count() == 2
    # An answer uses less than its reservation, so that another one fits before the budget is used up.
    while Visitor().ask().status_code == 202:
        perform(AiJob.objects.latest("created_at").pk)
    spent = sum(call.input_tokens + call.output_tokens for call in AiCall.objects.all())
    assert ONE_ANSWER < spent <= 2 * ONE_ANSWER or budgets[0] == 0
    assert sum(call.cost for call in AiCall.objects.all()) <= (budgets[1] or 1)


def test_run_after_the_budget_is_used_up_makes_no_call(visitor, settings, simulator):
    job = visitor.ask().json()["jobId"]
    settings.BUDGET_LANDING_TOKENS = 1
    perform(job)
    ended = AiJob.objects.get(pk=job)
    assert (ended.status, ended.error_code, simulator.requests()) == ("failed", "landing_budget", [])


def test_model_without_a_price_is_not_called_with_a_money_budget(visitor, settings):
    settings.BUDGET_LANDING_DOLLARS, settings.LLM_CHAT_MODEL = 100, "unheard-of"
    refused(visitor.ask(), 503, "landing_budget")


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost:8001"},
    {"Origin": "https://localhost"},
    {"Origin": "null"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=lambda headers: headers["Origin"])
@pytest.mark.parametrize("path", [QUERY, CONTACT])
def test_requests_from_other_sites_are_refused(visitor, path, headers, nothing_asked):
    body = {"question": "What?", "email": "a@example.org", "message": "x"}
    response = visitor.post(path, body, **headers)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "foreign_origin")


def test_fetch_metadata_is_checked_without_an_origin_header(site):
    stranger, client = Visitor(), Visitor()
    for one in (stranger, client):
        del one.browser.defaults["HTTP_ORIGIN"]
    assert stranger.post(QUERY, {"question": "x"}, **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.ask().status_code == 202


def test_trusted_origin_may_ask(visitor):
    assert visitor.post(QUERY, {"question": "x"}, Origin="https://app.example.org").status_code == 202


@pytest.mark.parametrize("question", ["", " ", "x" * 501, None, "a\0b", ["x"]])
def test_bad_question_is_400(visitor, question, nothing_asked):
    assert visitor.ask(question).status_code == 400


def test_question_of_500_characters_of_any_kind_is_accepted(visitor):
    body = json.dumps({"question": "🐝" * 500})
    assert len(body) > 5000
    assert visitor.browser.post(QUERY, body, content_type="application/json").status_code == 202


def test_larger_body_is_413(visitor, nothing_asked):
    assert visitor.ask("x" * 9000).status_code == 413


def test_no_prompt_exceeds_its_token_reservation(site, simulator):
    FaqEntry.objects.bulk_create(FaqEntry(question=f"<&> {n}", answer="課程" * 40, position=n) for n in range(200))
    visitor = Visitor()
    conversation = visitor.answer("課" * 500)["conversationId"]
    visitor.answer("&" * 500, conversationId=conversation)
    prompts = [request["body"]["messages"] for request in simulator.requests()]
    sizes = [sum(_tokens(message["content"]) for message in messages) for messages in prompts]
    assert 2000 < max(sizes) <= budget.PROMPT_TOKENS


def _tokens(text):
    """An upper estimate: a token per character beyond ASCII, and one per three others."""
    beyond = sum(not char.isascii() for char in text)
    return beyond + (len(text) - beyond) // 3
