"""Tests of the image that need no container engine: its commands, run on the files it would contain."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx2
import psycopg
import pytest
from packaging.utils import canonicalize_name
from redis import Redis
from rq import Worker

from devstack.servers import processes
from devstack.servers.processes import end
from jobs.worker.rq_worker import RELEASE_SECONDS
from tests.image import Command, Dockerfile, Image, compose, requirements
from tests.support import ROOT, wait_for

SECRETS = ("SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "REDIS_URL", "OPENAI_API_KEY")
HOST = "learn.example.org"
THROUGH_PROXY = {"Host": HOST, "X-Forwarded-Proto": "https"}


@pytest.fixture(scope="module")
def dockerfile() -> Dockerfile:
    return Dockerfile((ROOT / "Dockerfile").read_text())


@pytest.fixture(scope="module")
def image(dockerfile: Dockerfile, tmp_path_factory: pytest.TempPathFactory) -> Image:
    return Image.build(tmp_path_factory.mktemp("image"), dockerfile)


@pytest.fixture(scope="module")
def production() -> Iterator[dict[str, str]]:
    """The environment of a production process, behind a proxy that ends TLS, with an empty database."""
    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE image")
        try:
            yield {
                "SECRET_KEY": "a-long-random-text",
                "ALLOWED_HOSTS": HOST,
                "REDIS_PREFIX": "none",  # as that of the tests, which read its keys
                "BEHIND_PROXY": "1",
                "DATABASE_URL": urlsplit(url)._replace(path="/image").geturl(),
                "REDIS_URL": re.sub(r"/\d+$", "/1", os.environ["REDIS_URL"]),
                "OPENAI_API_KEY": "sk-image",
                "JOBS_GRACE_SECONDS": "2",
            }
        finally:
            connection.execute("DROP DATABASE image WITH (FORCE)")


@pytest.fixture(scope="module")
def migrated(image: Image, production: dict[str, str]) -> None:
    """The database after the command of compose.yaml's `migrate`."""
    result = image.run(compose()["migrate"]["command"], production)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def port() -> str:
    return str(processes.free_port())


@pytest.fixture(scope="module")
def web(image: Image, dockerfile: Dockerfile, production: dict[str, str], migrated: None, port: str) -> Iterator[str]:
    """The image's default command, on a port that is free here."""
    log = image.app.parent / "web.log"
    process = image.start(on_port(dockerfile.command("CMD"), port), production, log)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: _status(f"{url}/healthz") == 200, timeout=60, what="for the web server")
        yield url
    finally:
        end(process)
    assert "Traceback" not in log.read_text()


@pytest.fixture(scope="module")
def browser(web: str) -> Iterator[httpx2.Client]:
    """A client that comes through the proxy."""
    with httpx2.Client(base_url=web, headers=THROUGH_PROXY) as client:
        yield client


@pytest.fixture(scope="module")
def static_names(image: Image) -> dict[str, str]:
    """The name that each static file got."""
    return json.loads((image.app / "staticfiles" / "staticfiles.json").read_text())["paths"]


def on_port(command: Command, port: str) -> Command:
    assert "8000" in " ".join(command)
    return [part.replace("8000", port) for part in command]


def test_requirement_files_are_not_excluded_by_dockerignore(image: Image, dockerfile: Dockerfile):
    installed = [rest.split()[:-1] for name, rest in dockerfile.packages if name == "COPY"]
    assert installed == [["requirements.txt", "constraints.txt"]]
    assert set(installed[0]) <= image.files()  # what .dockerignore lets through


def test_image_contains_all_apps_and_nothing_else(image: Image):
    surfaces = {path.parent.name for path in ROOT.glob("*/apps.py")}
    platform = {path.parent.name for path in ROOT.glob("platform/*/__init__.py")} - {"devstack"}
    assert {path.name for path in image.app.iterdir()} == {
        "manage.py", "requirements.txt", "constraints.txt", "platform", "staticfiles", *surfaces,
    }  # fmt: skip
    assert {path.name for path in (image.app / "platform").iterdir()} == platform
    hidden = [path for path in image.files() if any(part.startswith(".") for part in Path(path).parts)]
    assert hidden == []


def test_image_contains_no_development_files(image: Image, dockerfile: Dockerfile):
    installs = [rest for name, rest in dockerfile.packages if name == "RUN" and "pip install" in rest]
    assert [re.findall(r"-r (\S+)", rest) for rest in installs] == [["requirements.txt"]]
    developing = {canonicalize_name(requirement.name) for requirement in requirements("requirements-dev.txt")}
    assert "django" in image.packages
    assert image.packages & developing == set()


def test_image_has_no_secrets_and_a_user_other_than_root(dockerfile: Dockerfile):
    assert set(dockerfile.env) & set(SECRETS) == set()
    assert dockerfile.all("ARG") == []
    assert int(dockerfile.all("USER")[-1]) > 0


def test_compose_gives_every_process_what_it_needs():
    services = compose()
    for name in ("web", "worker", "migrate"):
        assert set(services[name]["environment"]) >= set(SECRETS)
    given = (ROOT / "compose.yaml").read_text()
    for name in ("SECRET_KEY", "OPENAI_API_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD"):
        assert f"${{{name}:?" in given, "compose refuses to start without it"


def test_compose_protects_redis_by_a_password_that_its_users_know():
    services = compose()
    redis = services["redis"]
    assert redis["command"][-2:] == ["--requirepass", "${REDIS_PASSWORD}"]
    assert redis["environment"]["REDISCLI_AUTH"] == "${REDIS_PASSWORD}"
    assert "ports" not in redis
    for name in ("web", "worker", "migrate"):
        assert services[name]["environment"]["REDIS_URL"].startswith("redis://:${REDIS_PASSWORD")


def test_compose_lets_a_worker_shut_down_gracefully():
    allowed = int(compose()["worker"]["stop_grace_period"].removesuffix("s"))
    default = re.search(r'"JOBS_GRACE_SECONDS", default=(\d+)', (ROOT / "platform/config/settings.py").read_text())
    assert default
    assert allowed >= int(default[1]) + 2 * RELEASE_SECONDS


@pytest.mark.parametrize("secret", SECRETS)
def test_process_does_not_start_without_its_secrets(
    image: Image, dockerfile: Dockerfile, production: dict[str, str], secret: str
):
    given = {name: value for name, value in production.items() if name != secret}
    for command in (dockerfile.command("CMD"), compose()["worker"]["command"]):
        for env in (given, given | {secret: ""}):
            result = image.run(command, env)
            assert (result.returncode, result.stdout) == (1, "")
            assert re.fullmatch(rf"Not set in the environment: {secret}\. .+\n", result.stderr)


def test_the_health_check_passes_under_any_host_and_fails_without_a_server(
    image: Image, dockerfile: Dockerfile, web: str, port: str
):
    check = dockerfile.command("HEALTHCHECK")
    assert image.run(on_port(check, port), {}).returncode == 0
    assert image.run(on_port(check, str(processes.free_port())), {}).returncode != 0


def test_pages_are_served_over_https_for_allowed_hosts_only(web: str, browser: httpx2.Client):
    page = browser.get("/accounts/login/")
    assert page.status_code == 200
    assert "Strict-Transport-Security" in page.headers
    assert "Secure" in page.headers["Set-Cookie"]
    assert browser.get("/accounts/login/", headers={"Host": "elsewhere.example.org"}).status_code == 400
    plain = httpx2.get(f"{web}/accounts/login/", headers={"Host": HOST})
    assert (plain.status_code, plain.headers["Location"]) == (301, f"https://{HOST}/accounts/login/")


def test_page_references_static_files_by_content_hash(browser: httpx2.Client):
    style = re.search(
        r'<link rel="stylesheet" href="(/static/site/site\.\w{12}\.css)"', browser.get("/accounts/login/").text
    )
    assert style
    answer = browser.get(style[1])
    assert answer.status_code == 200
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["Content-Encoding"] == "gzip"


def test_every_file_that_a_template_names_was_collected(image: Image, static_names: dict[str, str]):
    templates = [path.read_text() for path in image.app.glob("**/templates/**/*.html")]
    named = {name for text in templates for name in re.findall(r"{% static '([^']+)' %}", text)}
    assert "assistant/chat.js" in named
    assert named - set(static_names) == set()


def test_modules_import_each_other_by_their_hashed_names(browser: httpx2.Client, static_names: dict[str, str]):
    ours = [name for name in static_names if re.match(r"(?!admin|rest_framework|drf_|django_rq).*\.js$", name)]
    todo, seen = [f"/static/{static_names[name]}" for name in ours], set()
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        module = browser.get(path)
        assert (module.status_code, module.headers["Content-Type"].split(";")[0]) == (200, "text/javascript"), path
        assert "immutable" in module.headers["Cache-Control"], path
        todo += [urljoin(path, name) for name in re.findall(r'^import .* from "(.+)";$', module.text, re.MULTILINE)]
    assert any(path.endswith(".mjs") for path in seen)


def test_worker_serves_and_shuts_down_gracefully(image: Image, production: dict[str, str], browser: httpx2.Client):
    log = image.app.parent / "worker.log"
    redis = Redis.from_url(production["REDIS_URL"])
    process = image.start(compose()["worker"]["command"], production, log)
    try:
        wait_for(lambda: Worker.count(connection=redis), timeout=60, what="for the worker")
        # Its first sweep may not be over.
        wait_for(lambda: browser.get("/readyz").status_code == 200, timeout=30, what="for /readyz")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        end(process)
    assert Worker.count(connection=redis) == 0
    assert "Traceback" not in log.read_text()


def test_a_web_server_ends_on_sigterm(
    image: Image, dockerfile: Dockerfile, production: dict[str, str], migrated: None, tmp_path: Path
):
    port = str(processes.free_port())
    process = image.start(on_port(dockerfile.command("CMD"), port), production, tmp_path / "log")
    try:
        wait_for(lambda: _status(f"http://127.0.0.1:{port}/healthz") == 200, timeout=60, what="for the web server")
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    finally:
        end(process)


def test_processes_write_no_files_beside_the_code(image: Image, browser: httpx2.Client):
    # Their user has no permission: /app belongs to root.
    assert image.files() == image.built


def _status(url: str) -> int:
    try:
        return httpx2.get(url).status_code
    except httpx2.HTTPError:
        return 0
