"""Settings come from the environment: required ones have no default, and other defaults suit production."""

import json
import os
import re
import subprocess
import sys

import pytest
from django.core.management import call_command

from config.env import SHOWN, Env
from tests.support import ROOT

ASGI = "import manage, config.asgi"
PRODUCTION = {
    "SECRET_KEY": "k" * 25 + "0123456789-abcdefghijklmnop",
    "DATABASE_URL": "postgres://app:pw@db.internal:5432/app",
    "REDIS_URL": "redis://redis.internal:6379/0",
    "OPENAI_API_KEY": "sk-test",
    "ALLOWED_HOSTS": "learn.example.org",
}


def python(code_or_command, env, tmp_path):
    """Run Python with exactly this environment."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    env = kept | {"DEV_DATA": str(tmp_path)} | env
    command = [sys.executable, *code_or_command]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)


def read(names, env, tmp_path):
    """The values of these settings."""
    values = f"[getattr(settings, name) for name in {names}]"
    code = f"import json, manage; from django.conf import settings; print(json.dumps({values}))"
    result = python(["-c", code], env, tmp_path)
    assert result.returncode == 0, result.stderr
    return dict(zip(names, json.loads(result.stdout), strict=True))


@pytest.mark.parametrize("name", PRODUCTION)
def test_process_does_not_start_without(name, tmp_path):
    without = {key: value for key, value in PRODUCTION.items() if key != name}
    for env in (without, without | {name: ""}):
        result = python(["manage.py", "check"], env, tmp_path)
        assert result.returncode != 0 and name in result.stderr
        assert "Traceback" not in result.stderr, "said in a line, not in a stack trace"


def test_defaults_are_safe(tmp_path):
    safe = {
        "DEBUG": False,
        "DEV_STACK": False,
        "SESSION_COOKIE_SECURE": True,
        "CSRF_COOKIE_SECURE": True,
        "SESSION_COOKIE_HTTPONLY": True,
        "SECURE_SSL_REDIRECT": True,
        "SECURE_CONTENT_TYPE_NOSNIFF": True,
        "X_FRAME_OPTIONS": "DENY",
        "SECURE_PROXY_SSL_HEADER": None,
        "CSRF_TRUSTED_ORIGINS": [],
        "ALLOWED_HOSTS": ["learn.example.org"],
        "OPENAI_BASE_URL": "https://api.openai.com/v1",
    }
    assert read(list(safe), PRODUCTION, tmp_path) == safe
    assert read(["SECURE_HSTS_SECONDS"], PRODUCTION, tmp_path)["SECURE_HSTS_SECONDS"] >= 31_536_000


def test_development_apps_exist_in_the_development_stack_only(tmp_path):
    assert "devstack" not in read(["INSTALLED_APPS"], PRODUCTION, tmp_path)["INSTALLED_APPS"]
    result = python(["manage.py", "load_demo"], PRODUCTION, tmp_path)
    assert result.returncode != 0 and "Unknown command" in result.stderr


def test_deployment_check_is_clean(tmp_path):
    result = python(["manage.py", "check", "--deploy", "--fail-level", "WARNING"], PRODUCTION, tmp_path)
    assert result.returncode == 0, result.stderr
    assert "no issues" in result.stdout


def test_migrations_are_complete():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def message(env, tmp_path):
    """The lines with which a process refuses to start, by the name at their beginning."""
    result = python(["-c", "import manage, config.settings"], PRODUCTION | env, tmp_path)
    assert (result.returncode, result.stdout) == (1, ""), result.stderr
    first, *lines, last = result.stderr.splitlines()
    assert (first, last) == ("Settings that cannot be used:", "docs/operations.md describes them.")
    return {re.match(r"  (\w+)", line)[1]: line.strip() for line in lines}


# Each column of values is one process, which has to name all of them.
UNUSABLE = {
    "JOBS_PER_WORKER": ("many", "0", "1,000", "1e9"),
    "JOBS_DB_THREADS": ("0", "-1", "8.0", "'8'"),
    "DB_POOL_SIZE": ("0", "2", "twelve", "inf"),
    "JOBS_NICE": ("20", "-5", "high", "nan"),
    "JOBS_MAX_FAILURES": ("0", "-1", "1e9", "99999"),
    "JOBS_LEASE_SECONDS": ("0", "1", "-20", "20s"),
    "JOBS_SWEEP_SECONDS": ("0", "nan", "inf", "0,5"),
    "JOBS_REQUEUE_SECONDS": ("0", "-1", "ten", "1.5"),
    "JOBS_GRACE_SECONDS": ("-1", "1e9", "x", "10s"),
    "JOBS_PER_PERSON": ("0", "-5", "five", "5,0"),
    "JOBS_MAX_WAIT_SECONDS": ("0", "-1", "2m", "inf"),
    "JOBS_EVENTS_TTL": ("0", "59", "1h", "-1"),
    "JOBS_KEEP_DAYS": ("0", "-1", "99999999", "90d"),
    "BUDGET_PERSON_TOKENS": ("-1", "1e6", "inf", "none"),
    "BUDGET_TOTAL_DOLLARS": ("-1", "NaN", "1,50", "$5"),
    "LANDING_QUESTIONS_PER_VISITOR": ("0", "-1", "all", "1.0"),
    "LANDING_KEEP_DAYS": ("0", "-1", "9999999999", "x"),
    "LLM_REQUESTS_PER_MINUTE": ("0", "-1", "500rpm", "1e3"),
    "LLM_TOKENS_PER_MINUTE": ("0", "999", "-200000", "200k"),
    "LLM_CONNECT_TIMEOUT": ("0", "-5", "inf", "5s"),
    "LLM_FIRST_TOKEN_TIMEOUT": ("0", "nan", "1e3", "45,0"),
    "LLM_TOKEN_GAP_TIMEOUT": ("0", "-1", "99999", "x"),
    "LLM_CHAT_MODEL": ("gpt 4", "m" * 81, "gpt\n4", "gpt-\u00e9"),
    "OPENAI_BASE_URL": ("localhost:8000/v1", "ftp://host/v1", "https://", "https://ho st/v1"),
    "HTTPS": ("enabled", "2", "yes please", "-1"),
    "DEBUG": ("disabled", "nope", "None", "0.0"),
    "PROXIES": ("-1", "11", "true", "one"),
    "LOG_LEVEL": ("loud", "10", "INFO DEBUG", "-"),
    "LOG_FORMAT": ("xml", "text", "j", "1"),
    "ALLOWED_HOSTS": ("https://a.example", "a.example:443", "*.example.org", "::1"),
    "TRUSTED_ORIGINS": ("a.example", "https://a.example/", "https://a.example:443", "*"),
    "DATABASE_URL": ("mysql://h/n", "postgres://h", "postgres:///n", "postgres://u:p%q@h/n"),
    "REDIS_URL": ("http://h", "redis://h/one", "redis:///0", "redis://h:port/0"),
    "OPENAI_API_KEY": ("sk-a\nsk-b", "sk-a sk-b", '"sk-a"', "sk-\u00e9"),
    "METRICS_TOKEN": ("a b", "a\tb", "'a'", "\u20ac"),
    "SECRET_KEY": ("short", "-", "x" * 50, "ab" * 25),
}
NOT_SHOWN = ("DATABASE_URL", "REDIS_URL", "OPENAI_API_KEY", "METRICS_TOKEN", "SECRET_KEY")


@pytest.mark.parametrize("column", range(4))
def test_every_faulty_setting_is_named_with_its_value_and_what_is_allowed(column, tmp_path):
    given = {name: values[column] for name, values in UNUSABLE.items()}
    lines = message(given, tmp_path)
    assert lines.keys() == given.keys()
    for name, line in lines.items():
        assert "allowed: " in line
        if name in NOT_SHOWN:
            assert line.startswith(f"{name}: ") and "=" not in line.partition("allowed: ")[0]
        else:
            assert line.startswith(f"{name}=") and (given[name][:SHOWN] in line or not given[name].isprintable())


def test_missing_faulty_and_unknown_settings_are_named_together(tmp_path):
    env = PRODUCTION | {"HTTPS": "enabled", "JOBS_PER_WORKERS": "5"}
    del env["SECRET_KEY"]
    for command in (["manage.py", "check"], ["manage.py", "rqworker"], ["manage.py", "daphne"], ["-c", ASGI]):
        result = python(command, env, tmp_path)
        assert result.returncode == 1
        assert result.stderr.splitlines() == [
            "Settings that cannot be used:",
            "  HTTPS=enabled: allowed: one of 1, true, yes, on, 0, false, no, off",
            "  JOBS_PER_WORKERS: unknown, is JOBS_PER_WORKER meant?",
            "Not set in the environment: SECRET_KEY.",
            "docs/operations.md describes them.",
        ]


@pytest.mark.parametrize(
    ("env", "names"),
    [
        ({"JOBS_DB_THREADS": "12"}, ("JOBS_DB_THREADS=12", "DB_POOL_SIZE=12 (default)")),
        ({"DB_POOL_SIZE": "9"}, ("JOBS_DB_THREADS=8 (default)", "DB_POOL_SIZE=9")),
        ({"JOBS_SWEEP_SECONDS": "5", "JOBS_LEASE_SECONDS": "9"}, ("JOBS_SWEEP_SECONDS=5", "JOBS_LEASE_SECONDS=9")),
        ({"JOBS_SWEEP_SECONDS": "10"}, ("JOBS_REQUEUE_SECONDS=10 (default)", "JOBS_SWEEP_SECONDS=10")),
        ({"PROXIES": "2"}, ("PROXIES=2", "BEHIND_PROXY=False (default)", "HTTPS=True (default)")),
    ],
)
def test_settings_that_contradict_each_other_are_named_together(env, names, tmp_path):
    (line,) = message(env, tmp_path).values()
    assert line.startswith(f"{', '.join(names)}: ")


def test_unknown_names_are_refused_only_where_nobody_else_can_have_set_them(tmp_path):
    ours = {
        "JOBS_WORKERS": "JOBS_PER_WORKER",
        "jobs_nice": "JOBS_NICE",
        "LLM_CHATMODEL": "LLM_CHAT_MODEL",
        "BUDGET_PERSON_TOKEN": "BUDGET_PERSON_TOKENS",
        "LANDING_DAYS": "LANDING_KEEP_DAYS",
        "TRUSTED_ORIGIN": "TRUSTED_ORIGINS",
        "CSRF_TRUSTED_ORIGINS": "TRUSTED_ORIGINS",
        "BEHIND_PROXIES": "BEHIND_PROXY",
        "METRIC_TOKEN": "METRICS_TOKEN",
        "DB_POOLSIZE": "DB_POOL_SIZE",
        "OPENAI_BASEURL": "OPENAI_BASE_URL",
        "LOG_LEVL": "LOG_LEVEL",
    }
    lines = message(dict.fromkeys(ours, "confidential"), tmp_path)
    assert lines == {name: f"{name}: unknown, is {meant} meant?" for name, meant in ours.items()}

    others = [
        "OPENAI_ORG_ID",
        "OPENAI_PROJECT_ID",
        "OPENAI_LOG",
        "OPENAI_API_BASE",
        "LLM_USER_PATH",
        "LOGLEVEL",
        "LOG_DIR",
        "REDIS_HOST",
        "REDIS_PORT",
        "REDIS_PASSWORD",
        "REDIS_URI",
        "REDIS_TLS_URL",
        "DATABASE_URI",
        "DB_HOST",
        "DB_PASSWORD",
        "JOBS_PORT",
        "JOBS_SERVICE_HOST",
        "JOBS_SERVICE_PORT_HTTP",
        "JOBS_PORT_8000_TCP_ADDR",
        "LLM_PORT_80_TCP",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "PROXY",
        "SECRET_KEY_BASE",
        "POSTGRES_PASSWORD",
        "API_TOKEN",
        "PORT",
    ]
    read([], PRODUCTION | dict.fromkeys(others, "x"), tmp_path)


def test_usual_spellings_are_read(tmp_path):
    given = {
        "HTTPS": "Off",
        "BEHIND_PROXY": "YES",
        "JOBS_PER_WORKER": " 5 ",
        "LLM_TOKENS_PER_MINUTE": "10_000",
        "JOBS_SWEEP_SECONDS": ".5",
        "LOG_FORMAT": "PLAIN",
        "OPENAI_API_KEY": "sk-from-a-file\n",
        "OPENAI_BASE_URL": "",
        "JOBS_KEEP_DAYS": "  ",
        "ALLOWED_HOSTS": "a.example, .b.example,[::1],",
        "TRUSTED_ORIGINS": "https://App.example.org,http://*.b.example:8443",
    }
    names = ["SECURE_SSL_REDIRECT", "PROXIES", "JOBS_PER_WORKER", "LLM_TOKENS_PER_MINUTE", "JOBS_SWEEP_SECONDS"]
    names += ["OPENAI_API_KEY", "OPENAI_BASE_URL", "JOBS_KEEP_DAYS", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS"]
    assert list(read(names, PRODUCTION | given, tmp_path).values()) == [
        *(False, 1, 5, 10_000, 0.5, "sk-from-a-file", "https://api.openai.com/v1", 90),
        ["a.example", ".b.example", "[::1]"],
        ["https://app.example.org", "http://*.b.example:8443"],
    ]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("pgsql://u:p%40w@h:6543/n?sslmode=require", ("h", "6543", "u", "p@w", "n", "require")),
        ("postgresql:///n?host=/run/postgresql", ("/run/postgresql", "", "", "", "n", None)),
    ],
)
def test_database_url_is_read_as_libpq_reads_it(url, expected):
    config = Env({"DATABASE_URL": url}, ()).postgres_url("DATABASE_URL")
    parts = (config[name] for name in ("HOST", "PORT", "USER", "PASSWORD", "NAME"))
    assert (*parts, config["OPTIONS"].get("sslmode")) == expected


def test_list_of_words_is_split_at_commas():
    env = Env({"JOBS_KINDS": "a.b, c ,", "JOBS_OTHERS": "a b"}, ())
    assert (env.list("JOBS_KINDS", default=[]), env.list("JOBS_OTHERS", default=[])) == (["a.b", "c"], [])
    with pytest.raises(SystemExit, match="JOBS_OTHERS=a b: a b is not one; allowed: words of ASCII characters"):
        env.finish()


@pytest.mark.parametrize("url", ["postgres://u:pw@word@h/n", "postgres://u:1/word@h/n"])
def test_password_with_a_bare_delimiter_is_refused_rather_than_taken_for_a_host(url, tmp_path):
    (line,) = message({"DATABASE_URL": url}, tmp_path).values()
    assert line.startswith("DATABASE_URL: libpq cannot tell where its password ends; allowed: postgres://")


CHECKS = """
import json, manage
from config.env import REQUIRED
from config.settings import env
print(json.dumps({name: ["required" if default is REQUIRED else str(default), env.allowed[name]]
                  for name, default in env.defaults.items()}))
"""


def test_operations_page_lists_every_setting_with_its_default_and_what_is_allowed(tmp_path):
    words = {"True": "1", "False": "0", "": "none", "[]": "none"}
    read = json.loads(python(["-c", CHECKS], PRODUCTION, tmp_path).stdout)
    read["PROXIES"][0], read["REDIS_PREFIX"][0] = "BEHIND_PROXY", "derived"
    page = (ROOT / "docs/operations.md").read_text()
    table = page[page.index("| variable | default |") : page.index("`./dev run` and `./dev test` read two more")]
    rows = re.findall(r"^\| `([A-Z_]+)` \| `?(.+?)`? \| (.+?) \|", table, re.MULTILINE)
    told = {name: (re.sub(r"(?<=\d)_", "", default), allowed) for name, default, allowed in rows}
    assert told == {
        name: (words.get(default, default), re.sub("^a (whole )?number from ", "", allowed))
        for name, (default, allowed) in read.items()
    }
