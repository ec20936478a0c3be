"""The OpenAI simulator, through the unmodified openai SDK over HTTP on a real port."""

import html
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import httpx2
import openai
import pytest
from pydantic import BaseModel, Field

import devstack

KEY = "sk-simulator"
FAST = (
    "--first-token=0.01",
    "--token-interval=0.001",
    "--rewrite-latency=0.01",
    "--embedding-latency=0.01",
)
LESSONS = [
    (
        "Ownership",
        "Ownership is a set of rules that govern how a Rust program manages memory. There can only be one "
        "owner of a value at a time. When the owner goes out of scope, the value is dropped.",
    ),
    (
        "Borrowing & references",
        "The borrow checker prevents data races at compile time. You may have one mutable reference or any "
        "number of shared references to a value. For example:\n\n```rust\nlet r = &mut s; // <b>one</b>\n```",
    ),
    (
        "Error handling",
        "The panic! macro stops a program that meets an unrecoverable error. A Result holds either a value "
        "or an error that the caller can recover from.",
    ),
]


class Simulator:
    """A running simulator: an SDK client for it and its control API."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx2.Client(timeout=5)
        self.client = self.client_with(KEY)

    def client_with(self, key: str) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.url, api_key=key, max_retries=0, timeout=5)

    def control(self, method: str, path: str = "", data: Any = None) -> dict[str, Any]:
        response = self.http.request(method, f"{self.url.removesuffix('/v1')}/control{path}", json=data)
        response.raise_for_status()
        return response.json()

    def counters(self) -> dict[str, Any]:
        return self.control("GET")["counters"]

    def set(self, **settings: Any) -> None:
        self.control("PATCH", data={"settings": settings})

    def fault(self, kind: str, **more: Any) -> None:
        self.control("POST", "/faults", {"endpoint": "*", "kind": kind, **more})

    def ask(self, question: str = "What is ownership?", **more: Any) -> Any:
        return self.client.chat.completions.create(model="gpt-4o-mini", messages=prompt(question), **more)

    def answer(self, question: str, system: str = "", *turns: tuple[str, str]) -> str:
        messages = [{"role": role, "content": text} for role, text in (("system", system), *turns)]
        messages.append({"role": "user", "content": question})
        answer = self.client.chat.completions.create(model="gpt-4o-mini", messages=messages)
        return answer.choices[0].message.content


def prompt(question: str) -> list[dict[str, str]]:
    passages = "\n".join(
        f'<passage n="{n}" lesson="{html.escape(title)}" heading="{html.escape(title)}">\n'
        f"{html.escape(text)}\n</passage>"
        for n, (title, text) in enumerate(LESSONS, 1)
    )
    return [
        {"role": "system", "content": f"Answer from these passages.\n{passages}"},
        {"role": "user", "content": f"<question>{html.escape(question)}</question>"},
    ]


def start(*options: str) -> tuple[subprocess.Popen[str], str]:
    path = str(Path(devstack.__file__).parents[1])
    command = [sys.executable, "-m", "devstack.simulator", "--port=0", *options]
    pipe, env = subprocess.PIPE, {**os.environ, "PYTHONPATH": path}
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=env)
    return process, process.stdout.readline().removeprefix("simulator listening on ").strip()


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"


def text_of(stream: Any) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


@pytest.fixture(autouse=True)
def clean_slate() -> None:
    """Override: these tests have their own simulator and touch no rows."""


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    process, url = start(*FAST)
    try:
        yield Simulator(url)
    finally:
        process.terminate()
        assert process.wait(5) == 0
        # No test may cause an error in the log.
        assert process.stderr.read() == ""


@pytest.fixture
def simulator(server: Simulator) -> Simulator:
    server.control("POST", "/reset")
    return server


# Answers


@pytest.mark.parametrize(
    "question", ["How does the borrow checker prevent data races?", "waht dose the borow cheker prevnt"]
)
def test_answer_is_grounded_and_cited(simulator: Simulator, question: str) -> None:
    completion = simulator.ask(question)
    answer = completion.choices[0].message.content
    assert answer.startswith("The borrow checker prevents data races at compile time [2].")
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.completion_tokens == -(-len(answer) // 4)
    assert completion.usage.prompt_tokens_details.cached_tokens == 0


def test_answers_are_deterministic_and_code_is_unescaped(simulator: Simulator) -> None:
    first, second = (simulator.ask("May I have one mutable reference?").choices[0].message.content for _ in "ab")
    assert first == second
    assert "```rust\nlet r = &mut s; // <b>one</b>\n```" in first


@pytest.mark.parametrize("question", ["Who won the football cup?", "Who has the ownership of the Louvre?"])
def test_refusal_names_what_is_covered(simulator: Simulator, question: str) -> None:
    answer = simulator.ask(question).choices[0].message.content
    assert answer.startswith("This is not in the course material.")
    assert "Borrowing & references" in answer and "[1]" not in answer


def test_invalid_unicode_is_answered(simulator: Simulator) -> None:
    body = b'{"model": "m", "input": "\\ud800", "messages": [{"role": "user", "content": "borrow \\ud800"}]}'
    headers = {"Authorization": f"Bearer {KEY}"}
    for path in ("chat/completions", "embeddings"):
        answer = simulator.http.post(f"{simulator.url}/{path}", content=body, headers=headers)
        assert answer.status_code == 200


def test_only_the_tagged_question_is_answered(simulator: Simulator) -> None:
    messages = prompt("What does the panic macro do?")
    messages[-1]["content"] = f"Mention ownership and memory. {messages[-1]['content']}"
    completion = simulator.client.chat.completions.create(model="m", messages=messages)
    assert completion.choices[0].message.content.startswith("The panic! macro stops")
    assert "[1]" not in completion.choices[0].message.content


def test_question_without_content_words_refers_to_the_conversation(simulator: Simulator) -> None:
    system, asked = prompt("Why does that matter?")
    earlier = {"role": "user", "content": "What does the panic macro do?"}
    said = {"role": "assistant", "content": "It stops the program."}
    messages = [system, earlier, said, asked]
    completion = simulator.client.chat.completions.create(model="m", messages=messages)
    assert "The panic! macro stops a program" in completion.choices[0].message.content
    assert "[1]" not in completion.choices[0].message.content


TRANSCRIPT = """<conversation>
summary: We spoke of traits.
user: Tell me about ownership
  in Rust
assistant: Ownership decides who frees memory.
</conversation>"""


def test_follow_up_is_rewritten_with_the_earlier_topics(simulator: Simulator) -> None:
    rewritten = simulator.answer(f"{TRANSCRIPT}\n<question>Why does that matter?</question>")
    assert rewritten.startswith("Why does that matter? (about: ")
    assert "ownership" in rewritten and "rust" in rewritten and "conversation" not in rewritten
    assert simulator.counters()["by_purpose"] == {"rewrite": 1}


def test_rewriting_repeats_no_word_of_the_follow_up(simulator: Simulator) -> None:
    rewritten = simulator.answer(f"{TRANSCRIPT}\n<question>Is ownership good?</question>")
    assert "about: rust" in rewritten and rewritten.lower().count("ownership") == 1


def test_summary_and_other_purposes(simulator: Simulator) -> None:
    assert "ownership" in simulator.answer(TRANSCRIPT)
    assert "sourdough" in simulator.answer("How do I bake sourdough?", "You are a friendly guide.")
    assert simulator.counters()["by_purpose"] == {"summary": 1, "other": 1}


def test_untagged_words_of_a_prompt_do_not_set_its_purpose(simulator: Simulator) -> None:
    rules = "Rewrite it as a standalone question. Summarise the passages. Guidance level: hints only."
    assert "sourdough" in simulator.answer("How do I bake sourdough?", rules)
    assert simulator.counters()["by_purpose"] == {"other": 1}


# Streaming


def test_stream_is_the_same_answer_in_small_pieces_with_usage(simulator: Simulator) -> None:
    chunks = list(simulator.ask(stream=True, stream_options={"include_usage": True}))
    whole = simulator.ask()
    assert chunks[0].choices[0].delta.role == "assistant"
    assert text_of(chunks) == whole.choices[0].message.content
    deltas = [chunk.choices[0].delta.content for chunk in chunks[1:-2]]
    assert 2 < sum(map(len, deltas)) / len(deltas) < 6
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == [] and chunks[-1].usage == whole.usage


def test_raw_stream_ends_with_done_and_carries_the_headers(simulator: Simulator) -> None:
    body = {"model": "m", "messages": prompt("What is ownership?"), "stream": True}
    answer = simulator.http.post(
        f"{simulator.url}/chat/completions", json=body, headers={"Authorization": f"Bearer {KEY}"}
    )
    events = answer.text.removesuffix("\n\n").split("\n\n")
    assert events[-1] == "data: [DONE]"
    assert all("usage" not in json.loads(event.removeprefix("data: ")) for event in events[:-1])
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-request-id"].startswith("req_")
    for header in ("openai-processing-ms", "x-ratelimit-remaining-requests", "x-ratelimit-reset-tokens"):
        assert header in answer.headers


def test_chunks_are_sent_at_the_configured_interval(simulator: Simulator) -> None:
    simulator.set(first_token=0.1, token_interval=0.005, answer_tokens=41)
    deltas = [c for c in simulator.ask(stream=True) if c.choices[0].delta.content]
    assert len(deltas) == 41
    (record,) = simulator.control("GET", "/requests?last=1")["requests"]
    assert 0.1 <= record["first_token_at"] - record["received_at"] < 0.2
    assert 0.2 <= record["finished_at"] - record["first_token_at"] < 0.35
    assert record["body"]["messages"] == prompt("What is ownership?")


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_answer_is_cut_at_max_tokens(simulator: Simulator, name: str) -> None:
    completion = simulator.ask(**{name: 7})
    assert completion.choices[0].finish_reason == "length"
    assert 1 <= completion.usage.completion_tokens <= 7


def test_client_disconnect_is_noticed_at_once(simulator: Simulator) -> None:
    simulator.set(token_interval=5)
    stream = simulator.ask(stream=True)
    assert next(iter(stream)).choices[0].delta.role == "assistant"
    assert simulator.counters()["in_flight"] == 1
    stream.close()
    wait_for(lambda: simulator.counters()["aborted"] == 1, 0.2)
    counters = simulator.counters()
    assert (counters["in_flight"], counters["peak_in_flight"], counters["completed"]) == (0, 1, 0)


# Structured outputs


class Step(BaseModel):
    title: str = Field(max_length=20)
    minutes: int = Field(ge=5, le=60)


class Profile(BaseModel):
    goal: str = Field(description="what the learner wants to become")
    level: Literal["beginner", "intermediate", "advanced"]
    confident: bool
    nickname: str | None
    share: float = Field(gt=0, lt=1)
    steps: list[Step] = Field(min_length=2, max_length=3)


def test_structured_output_conforms_and_uses_the_prompt(simulator: Simulator) -> None:
    said = "I am an intermediate programmer. I want to become a data engineer. I have 45 minutes a day."
    completion = simulator.client.chat.completions.parse(
        model="m", messages=[{"role": "user", "content": said}], response_format=Profile
    )
    profile = completion.choices[0].message.parsed
    assert profile.level == "intermediate"
    assert "data engineer" in profile.goal
    assert profile.steps[0].minutes == 45
    assert simulator.counters()["by_purpose"] == {"structured": 1}


def test_recursive_and_impossible_schemas(simulator: Simulator) -> None:
    node = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "parts": {"type": "array", "items": {"$ref": "#/$defs/node"}},
        },
        "required": ["name", "parts"],
    }
    tree = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$defs": {"node": node}, **node}}}
    content = json.loads(simulator.ask(response_format=tree).choices[0].message.content)
    assert content["parts"][0]["parts"][0]["name"]
    for broken in ({"$ref": "#/$defs/none"}, {"$ref": "#"}, {"type": "clause"}):
        spec = {"type": "json_schema", "json_schema": {"name": "x", "schema": broken}}
        with pytest.raises(openai.BadRequestError, match="Invalid schema"):
            simulator.ask(response_format=spec)


def test_json_object_is_an_object(simulator: Simulator) -> None:
    messages = [{"role": "user", "content": "Reply in JSON: what is Rust?"}]
    more = {"model": "m", "response_format": {"type": "json_object"}}
    content = simulator.client.chat.completions.create(messages=messages, **more).choices[0].message.content
    assert isinstance(json.loads(content), dict)


def test_strict_schema_must_be_strict(simulator: Simulator) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    spec = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
    with pytest.raises(openai.BadRequestError, match="additionalProperties"):
        simulator.ask(response_format=spec)


# Embeddings


def vectors(simulator: Simulator, texts: list[str], **more: Any) -> list[list[float]]:
    answer = simulator.client.embeddings.create(model="text-embedding-3-small", input=texts, **more)
    return [item.embedding for item in answer.data]


def test_embedding_formats_agree(simulator: Simulator) -> None:
    (packed,), (plain,) = (vectors(simulator, ["Ownership"], **f) for f in ({}, {"encoding_format": "float"}))
    assert list(packed) == plain and len(plain) == 1536
    assert sum(value * value for value in plain) == pytest.approx(1, abs=1e-5)
    assert len(vectors(simulator, ["Ownership"], dimensions=256)[0]) == 256


@pytest.mark.parametrize(
    ("question", "best"),
    [
        ("How does memory get managed by the owner?", 0),
        ("what is the borow cheker for", 1),
        ("recovering from errors", 2),
    ],
)
def test_question_is_nearest_to_its_passage(simulator: Simulator, question: str, best: int) -> None:
    asked, *passages = vectors(simulator, [question, *(text for _, text in LESSONS)])
    near = [sum(a * b for a, b in zip(asked, passage, strict=True)) for passage in passages]
    others = [value for index, value in enumerate(near) if index != best]
    assert near[best] > 1.5 * max(others) and near[best] > 0.1


# Errors, keys, limits


def test_wrong_key_is_echoed_masked(simulator: Simulator) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        simulator.client_with("sk-wrong-0123456789-tail").models.list()
    assert caught.value.code == "invalid_api_key"
    assert "sk-wrong" in caught.value.message and "tail" in caught.value.message
    assert "0123456789" not in caught.value.message
    assert simulator.http.get(f"{simulator.url}/models").status_code == 401


def test_models(simulator: Simulator) -> None:
    assert "text-embedding-3-small" in [model.id for model in simulator.client.models.list()]
    assert simulator.client.models.retrieve("gpt-4o-mini").id == "gpt-4o-mini"
    with pytest.raises(openai.NotFoundError):
        simulator.client.models.retrieve("missing-model")


@pytest.mark.parametrize(
    ("path", "body", "status", "part"),
    [
        ("chat/completions", b"{not json", 400, "could not parse the JSON body"),
        ("chat/completions", b'{"messages": []}', 400, "model parameter"),
        ("chat/completions", b'{"model": "m"}', 400, "missing_required_parameter"),
        ("chat/completions", b'{"model": "m", "messages": [{"role": "x"}]}', 400, "messages[0].role"),
        ("chat/completions", b'{"model": "m", "messages": [{"role": "user", "content": 1}]}', 400, "content"),
        ("chat/completions", b"[" * 100_000, 400, "nested too deeply"),
        ("embeddings", b'{"model": "m", "input": []}', 400, "input"),
        ("embeddings", b'{"model": "m", "input": "a", "dimensions": 0}', 400, "dimensions"),
        ("embeddings", b'{"model": "missing-m", "input": "a"}', 404, "model_not_found"),
        ("nothing", b"{}", 404, "Invalid URL"),
    ],
)
def test_bad_requests_get_errors_in_openai_format(
    simulator: Simulator, path: str, body: bytes, status: int, part: str
) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    answer = simulator.http.post(f"{simulator.url}/{path}", content=body, headers=headers)
    assert answer.status_code == status and part in answer.text
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert simulator.counters()["failed"] == 1


def test_context_length(simulator: Simulator) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        simulator.ask("word " * 110_000)
    assert caught.value.code == "context_length_exceeded"


def test_limits_are_enforced_per_model(simulator: Simulator) -> None:
    simulator.set(requests_per_minute=2)
    embed = simulator.client.embeddings
    raw = embed.with_raw_response.create(model="a", input="x")
    assert raw.headers["x-ratelimit-limit-requests"] == "2"
    assert raw.headers["x-ratelimit-remaining-requests"] == "1"
    embed.create(model="a", input="x")
    with pytest.raises(openai.RateLimitError) as caught:
        embed.create(model="a", input="x")
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.response.headers["retry-after"] == "30"
    assert 29_000 < int(caught.value.response.headers["retry-after-ms"]) <= 30_000
    assert embed.create(model="b", input="x")


def test_token_limit(simulator: Simulator) -> None:
    simulator.set(tokens_per_minute=100)
    embed = simulator.client.embeddings
    embed.create(model="a", input="x" * 240)
    with pytest.raises(openai.RateLimitError, match="tokens per min"):
        embed.create(model="a", input="x" * 240)


# Faults


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("429", 429, "rate_limit_exceeded"),
        ("slow_down", 429, "slow_down"),
        ("quota", 429, "insufficient_quota"),
        ("500", 500, None),
        ("503", 503, None),
        ("400", 400, None),
        ("401", 401, "invalid_api_key"),
    ],
)
def test_error_faults(simulator: Simulator, kind: str, status: int, code: str | None) -> None:
    simulator.fault(kind, times=1, retryAfter=3)
    with pytest.raises(openai.APIStatusError) as caught:
        simulator.ask()
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert caught.value.response.headers.get("retry-after") == ("3" if status == 429 else None)
    assert simulator.ask().choices[0].message.content
    assert simulator.control("GET")["faults"] == []


def test_fault_for_one_endpoint_and_purpose(simulator: Simulator) -> None:
    simulator.fault("500", endpoint="embeddings")
    simulator.fault("503", purpose="rewrite")
    assert simulator.ask()
    with pytest.raises(openai.InternalServerError):
        vectors(simulator, ["x"])
    with pytest.raises(openai.InternalServerError, match="overloaded"):
        simulator.answer(f"{TRANSCRIPT}<question>Why?</question>")


def test_refusal_fault(simulator: Simulator) -> None:
    simulator.fault("refuse")
    message = simulator.ask().choices[0].message
    assert message.content is None and message.refusal
    deltas = [chunk.choices[0].delta for chunk in simulator.ask(stream=True)]
    assert "".join(delta.refusal or "" for delta in deltas) == message.refusal
    assert not any(delta.content for delta in deltas)


def test_content_filter_fault_stops_midway(simulator: Simulator) -> None:
    whole = simulator.ask().choices[0].message.content
    simulator.fault("content_filter")
    choice = simulator.ask().choices[0]
    assert choice.finish_reason == "content_filter"
    assert whole.startswith(choice.message.content) and 0 < len(choice.message.content) < len(whole)


def test_hang_fault_never_answers(simulator: Simulator) -> None:
    simulator.fault("hang")
    with pytest.raises(openai.APITimeoutError):
        simulator.ask(timeout=0.2)
    wait_for(lambda: simulator.counters()["aborted"] == 1, 0.5)


def test_disconnect_fault_cuts_the_connection(simulator: Simulator) -> None:
    simulator.fault("disconnect", afterTokens=3)
    got = []
    with pytest.raises(openai.APIConnectionError):
        for chunk in simulator.ask(stream=True):
            got.append(chunk)
    assert [bool(chunk.choices[0].delta.content) for chunk in got] == [False, True, True, True]
    with pytest.raises(openai.APIConnectionError):
        simulator.ask()
    wait_for(lambda: simulator.counters()["failed"] == 2, 0.2)


def test_stall_fault_keeps_the_connection(simulator: Simulator) -> None:
    simulator.fault("stall", afterTokens=2)
    got = []
    with pytest.raises(openai.APITimeoutError):
        for chunk in simulator.ask(stream=True, timeout=0.2):
            got.append(chunk)
    assert len(got) == 3


def test_garbage_and_invalid_json_faults(simulator: Simulator) -> None:
    simulator.fault("garbage", times=1)
    with pytest.raises(json.JSONDecodeError):
        text_of(simulator.ask(stream=True))
    simulator.fault("invalid_json")
    assert simulator.ask().choices[0].message.content.endswith(".")
    more = {"messages": [{"role": "user", "content": "json, please"}], "model": "m"}
    broken = simulator.client.chat.completions.create(response_format={"type": "json_object"}, **more)
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken.choices[0].message.content)


def test_down_closes_all_connections_and_comes_back(simulator: Simulator) -> None:
    simulator.set(token_interval=5)
    stream = simulator.ask(stream=True, timeout=1)
    simulator.set(down=True)
    with pytest.raises(openai.APIConnectionError) as caught:
        text_of(stream)
    assert not isinstance(caught.value, openai.APITimeoutError)
    with pytest.raises(openai.APIConnectionError):
        simulator.ask()
    assert simulator.counters()["failed"] == 2
    simulator.set(down=False, token_interval=0)
    assert simulator.ask()


# Control, command line


def test_reset_restores_the_start_state(simulator: Simulator) -> None:
    before = simulator.control("GET")
    simulator.set(first_token=0, answer_tokens=5)
    simulator.fault("500", endpoint="embeddings")
    simulator.ask()
    assert simulator.counters()["tokens"]["completion"] > 0
    assert simulator.control("POST", "/reset") == before
    assert simulator.control("GET", "/requests")["requests"] == []


@pytest.mark.parametrize(
    ("method", "path", "data"),
    [
        ("PATCH", "", {"settings": {"no_such": 1}}),
        ("PATCH", "", {"settings": {"first_token": -1}}),
        ("PATCH", "", {"first_token": 1}),
        ("POST", "/faults", {"kind": "nothing"}),
        ("POST", "/faults", {"endpoint": "embeddings", "kind": "refuse"}),
        ("POST", "/faults", {"kind": "500", "probability": 2}),
    ],
)
def test_control_api_refuses_unknown_values(simulator: Simulator, method: str, path: str, data: Any) -> None:
    with pytest.raises(httpx2.HTTPStatusError, match="400"):
        simulator.control(method, path, data)


def test_command_line_options_and_silent_shutdown() -> None:
    fault = json.dumps({"endpoint": "chat", "kind": "503", "times": 1})
    process, url = start("--api-key=sk-other", "--requests-per-minute=9", "--fault", fault, fault)
    try:
        other = Simulator(url)
        state = other.control("GET")
        assert state["settings"]["requests_per_minute"] == 9 and len(state["faults"]) == 2
        with pytest.raises(openai.AuthenticationError):
            other.ask()
        other.client = other.client_with("sk-other")
        with pytest.raises(openai.InternalServerError):
            other.ask()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(2) == 0
    assert process.stderr.read() == ""


def test_busy_port_is_reported_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        process, line = start(f"--port={busy.getsockname()[1]}")
        assert (process.wait(5), line) == (1, "")
        assert process.stderr.read().count("\n") == 1
