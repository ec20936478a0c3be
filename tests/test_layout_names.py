"""Templates, scripts and names of URLs point to lower apps only, as imports do."""

import ast
import posixpath
import re

import pytest
from django.template.base import Lexer, TokenType

from tests.support import ROOT
from tests.tree import COMPOSITION, FOLDERS, MAY_KNOW, NAMED, PACKAGES, SOURCES


def app_of_url(name):
    """The app of a URL's name; "config" for names without a namespace, None for apps of others."""
    namespace, _, view = name.rpartition(":")
    if namespace == "admin":
        return next((package for package in PACKAGES if view.startswith(f"{package}_")), None)
    return (namespace or "config") if namespace in PACKAGES | {""} else None


def named_in_template(text):
    """The apps of everything that a template includes, extends, links or loads."""
    for token in Lexer(text).tokenize():
        if token.token_type is not TokenType.BLOCK:
            continue
        tag, *arguments = token.split_contents()
        if tag in ("include", "extends", "static", "url"):
            name = arguments[0].strip("\"'")
            assert name != arguments[0], f"nobody can see what this names: {token.contents}"
            yield app_of_url(name) if tag == "url" else NAMED.get(name)


def named_in_python(text):
    """The apps of URLs and templates that strings name, whichever function they are for."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            url = re.match(r"[a-z_]+:([a-z_-]+$)?", node.value)
            yield app_of_url(url[0]) if url else NAMED.get(node.value)


def named_in_script(text, folder):
    """The apps of modules and style sheets that one in this folder imports."""
    for name in re.findall(r"""(?:from|import)\b[\s(]*(?:url\()?["']([^"']+)["']""", text):
        yield NAMED.get(posixpath.normpath(posixpath.join(folder, name)))


def named(file):
    match file.suffix:
        case ".html":
            return {*named_in_template(file.read_text())}
        case ".py":
            return {*named_in_python(file.read_text())}
        case ".js" | ".css":
            *_, name = file.as_posix().partition("/static/")
            return {*named_in_script(file.read_text(), posixpath.dirname(name))}
    return set()


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_templates_scripts_and_names_of_urls_go_to_lower_apps_only(package):
    for file in {*FOLDERS[package].rglob("*.*")} - {ROOT / "platform" / path for path in COMPOSITION}:
        if "vendor" not in file.parts:
            assert named(file) - {None} <= {package} | MAY_KNOW[package], file


@pytest.mark.parametrize(
    ("apps", "app"),
    [
        (named_in_template("""{% include "assistant/lesson_tools.html" with lesson=lesson only %}"""), "assistant"),
        (named_in_template("{%extends 'tutors/thread.html'%}"), "tutors"),
        (named_in_template("{% if x %}{% url 'personas:profile' as address %}{% endif %}"), "personas"),
        (named_in_template("{% url 'admin:landing_faqentry_changelist' %}"), "landing"),
        (named_in_template("{% static 'conversations/chat.css' %}"), "conversations"),
        (named_in_template("{% extends 'admin/jobs/upstream.html' %}"), "jobs"),
        (named_in_template("{% url 'home' %}"), "config"),
        (named_in_template("{% url 'django_rq:home' %}"), None),
        (named_in_python("redirect('tutors:copilot', slug)"), "tutors"),
        (named_in_python("reverse(f'jobs:{view}')"), "jobs"),
        (named_in_python("render(request, 'personas/profile.html')"), "personas"),
        (named_in_script('import { Chat } from "../conversations/chat.js";', "jobs"), "conversations"),
        (named_in_script("""const part = await import('./widget.js')""", "landing"), "landing"),
        (named_in_script('@import url("../landing/site.css");', "site"), "landing"),
    ],
)
def test_the_check_above_sees_every_name(apps, app):
    assert app in {*apps}


def test_the_check_above_refuses_what_it_cannot_read():
    with pytest.raises(AssertionError):
        list(named_in_template("{% include which %}"))


def test_names_of_urls_without_a_namespace_are_those_of_config():
    for path in SOURCES:
        if path.endswith("/urls.py") and path not in COMPOSITION:
            assert f'app_name = "{path.partition("/")[0]}"' in SOURCES[path].read_text(), path
