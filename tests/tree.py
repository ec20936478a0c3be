"""The apps and source files of the repository, and what an app may know, for the tests of the layout."""

import ast
from pathlib import Path

from tests.support import ROOT

SURFACES = {folder.parent.name for folder in ROOT.glob("*/apps.py")} - {"jobs"}
FOLDERS = {
    file.parent.name: file.parent for pattern in ("*/apps.py", "platform/*/__init__.py") for file in ROOT.glob(pattern)
}
PACKAGES = set(FOLDERS)
# config is common ground (errors, pagination, schema); these of its modules put the parts together.
COMPOSITION = {"config/asgi.py", "config/urls.py", "config/settings.py"}
BELOW_CONVERSATIONS = {"jobs", "llm", "courses", "accounts", "config"}
# What an app may know beside itself. devstack knows everybody, and nobody knows it.
MAY_KNOW = {
    "config": set(),
    "llm": set(),
    "accounts": {"config"},
    "courses": {"config"},
    "jobs": {"accounts", "llm", "config"},
    "conversations": BELOW_CONVERSATIONS,
    "devstack": PACKAGES,
    **{surface: {"conversations"} | BELOW_CONVERSATIONS for surface in SURFACES},
}

# jobs/: what surfaces may import, and the wings behind it, from top to bottom.
FACE = {"kinds", "accept", "submission", "limits", "models", "actions", "disclosure", "retention", "tasks"}
WINGS = ("api", "admin", "worker", "monitoring", "events", "lifecycle", "backends")
# Each template and static file by the name that others use for it, with its app.
NAMED = {
    file.relative_to(folder / kind).as_posix(): package
    for package, folder in FOLDERS.items()
    for kind in ("templates", "static")
    for file in (folder / kind).rglob("*.*")
}


def sources():
    """Our Python files: {path relative to the import root it lives under: its full path}."""
    return {
        file.relative_to(folder.parent).as_posix(): file
        for folder in FOLDERS.values()
        for file in folder.rglob("*.py")
        if "migrations" not in file.parts
    }


SOURCES = sources()


def imported(file: Path):
    """The full names of all modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
