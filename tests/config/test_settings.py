"""Settings come from the environment: required ones have no default, and other defaults suit production."""

import json
import os
import subprocess
import sys

import pytest
from django.core.management import call_command

from tests.support import ROOT

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


def test_wrong_number_is_refused(tmp_path):
    result = python(["manage.py", "check"], PRODUCTION | {"JOBS_PER_WORKER": "many"}, tmp_path)
    assert result.returncode != 0
