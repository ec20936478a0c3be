"""The architecture holds: one import mechanism, imports that point one way, one owner for everything dangerous."""

import ast
import graphlib
import importlib.metadata
import os
import platform as stdlib_platform
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from django.conf import settings

from jobs import kinds
from tests.support import ROOT
from tests.tree import COMPOSITION, FACE, FOLDERS, MAY_KNOW, NAMED, PACKAGES, SOURCES, SURFACES, WINGS, imported

MOST_LINES = 350
MOST_MODULES = 20  # in one folder

# Private names of other packages that we use or override, and the versions in which we have checked them.
PRIVATE_NAMES = {
    "rq==3.0.0": {
        "_current_job", "_dequeue_strategy", "_failure_callback_name", "_finalize_failure", "_finalize_success",
        "_install_signal_handlers", "_job", "_ordered_queues", "_shutdown", "_state", "_stop_requested",
        "_stopped_callback_name", "_stopped_job_id", "_success_callback_name",
    },
    "channels-redis==4.3.0": {
        "_ensure_redis", "_get_group_channel_name", "_get_layer", "_get_shard", "_kwargs", "_redis",
    },
    "psycopg-pool==3.3.3": {"_check"},
    "djangorestframework==3.18.3": {"_request"},
    "drf-spectacular==0.30.0": {"_get_response_for_code"},
    "Django==5.2.19": {"_default_manager", "_meta"},
}  # fmt: skip


def packages_imported(path):
    return {name.partition(".")[0] for name in imported(SOURCES[path])}


def users_of(module):
    """The files that import this module or something of it."""
    return {
        path
        for path, file in SOURCES.items()
        if any(name == module or name.startswith(f"{module}.") for name in imported(file))
    }


def of(package):
    return [path for path in SOURCES if path.startswith(f"{package}/")]


def test_platform_is_a_folder_and_no_package():
    assert not (ROOT / "platform" / "__init__.py").exists()
    assert Path(stdlib_platform.__file__).parent != ROOT / "platform"


@pytest.mark.parametrize("path", ["", "platform", ".:platform"])
def test_importing_platform_gives_the_standard_library(path):
    code = "import platform, manage, config, courses; print(platform.python_version(), platform.__file__)"
    env = os.environ | {"PYTHONPATH": path}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert result.stdout.split() == [stdlib_platform.python_version(), stdlib_platform.__file__], result.stderr


def test_nothing_imports_through_platform():
    modules = {folder.name for folder in (ROOT / "platform").iterdir()}
    for path, file in {**SOURCES, **{f"tests/{f.name}": f for f in (ROOT / "tests").rglob("*.py")}}.items():
        assert not {f"platform.{name}" for name in modules} & set(imported(file)), path


def test_llm_knows_nobody_and_no_django():
    for path in of("llm"):
        assert not packages_imported(path) & (PACKAGES - {"llm"} | {"django", "rest_framework", "channels", "rq"}), path


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_imports_go_to_lower_apps_only(package):
    for path in set(of(package)) - COMPOSITION:
        assert packages_imported(path) & PACKAGES <= {package} | MAY_KNOW[package], path


def module_file(name):
    """The file of ours that an imported name stands for; None for anything else."""
    parts = name.split(".")
    for end in range(len(parts), 1, -1):
        path = f"{'/'.join(parts[:end])}.py"
        if path in SOURCES:
            return path
    return None


def imports_within_jobs(path):
    return {target for name in imported(SOURCES[path]) if (target := module_file(name)) and target.startswith("jobs/")}


def test_only_the_face_of_jobs_is_imported_from_outside():
    for path in set(SOURCES) - set(of("jobs")) - COMPOSITION:
        reached = {target for target in imports_within_jobs(path) if target != "jobs/__init__.py"}
        assert reached <= {f"jobs/{name}.py" for name in FACE}, (path, reached)


def test_wings_import_downwards_only():
    for path in of("jobs"):
        wing = path.split("/")[1]
        if wing in WINGS:
            below = WINGS[WINGS.index(wing) :]
            above = {t for t in imports_within_jobs(path) if t.split("/")[1] in WINGS and t.split("/")[1] not in below}
            assert not above, (path, above)


def test_modules_form_no_cycle_type_checking_imports_included():
    modules = [path for path in SOURCES if not path.endswith("__init__.py")]
    graph = {path: {t for name in imported(SOURCES[path]) if (t := module_file(name))} - {path} for path in modules}
    list(graphlib.TopologicalSorter(graph).static_order())


def test_top_of_jobs_is_small():
    tops = {Path(path).parts[1] for path in of("jobs")} - set(WINGS) - {"management"}
    assert len(tops) <= 12, tops


def test_no_folder_is_crowded():
    folders = Counter(Path(path).parent for path in product())
    assert not {folder: count for folder, count in folders.items() if count > MOST_MODULES}


def test_no_import_is_relative():
    """The checks here read absolute imports only."""
    for path, file in product().items():
        relative = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.ImportFrom) and n.level]
        assert not relative, path


def test_package_docstrings_name_every_part():
    said = ast.get_docstring(ast.parse(SOURCES["jobs/__init__.py"].read_text()))
    named = set(re.findall(r"^    (\w+) {2,}", said, re.MULTILINE))
    assert named == FACE | set(WINGS)


def strings(file: Path):
    """The string constants of a file, docstrings and help texts left out."""
    tree = ast.parse(file.read_text())
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]


def product():
    return {path: file for path, file in SOURCES.items() if not path.startswith("devstack/")}


def test_names_of_kinds_are_written_once():
    written = Counter(text for file in product().values() for text in strings(file))
    names = [name for name in kinds.names() if not name.startswith("test.")]
    assert len(names) > 8
    assert {name: written[name] for name in names} == dict.fromkeys(names, 1)


def test_names_of_queues_are_written_once():
    written = defaultdict(set)
    for path, file in product().items():
        for text in set(strings(file)) & set(settings.JOBS_QUEUES):
            written[text].add(path)
    assert written == {name: {"config/settings.py"} for name in settings.JOBS_QUEUES}


def test_engine_knows_no_words_of_the_surfaces():
    foreign = {"conversationId", "messageId", "answer", "citations", "courseId", "lessonId", "landing", "assistant"}
    for path in of("jobs"):
        assert not foreign & set(strings(SOURCES[path])), path


# What modules of the engine and the gateway keep by themselves, because it belongs to no worker and is never closed.
KEPT = {
    ("jobs/backends/connections.py", "cache"): "the Redis client of synchronous code",
    ("jobs/backends/queues.py", "ContextVar"): "which dispatch the jobs of this context are offered to",
    ("llm/client.py", "lru_cache"): "JSON schemas of result types",
    ("llm/leaks.py", "lru_cache"): "the words of instructions",
}
STATE = ("cache", "lru_cache", "ContextVar", "WeakKeyDictionary", "local")


def kept_state(tree):
    """The names in this module that keep something for the whole process or a context."""
    names = {getattr(node, "attr", getattr(node, "id", "")) for node in ast.walk(tree)}
    return names & set(STATE) | ({"global"} if any(isinstance(node, ast.Global) for node in ast.walk(tree)) else set())


def test_nothing_of_a_worker_lives_in_module_globals():
    paths = [*of("jobs"), *of("llm")]
    assert {(p, name) for p in paths for name in kept_state(ast.parse(SOURCES[p].read_text()))} == set(KEPT)


def private_names(tree):
    """Names with an underscore that are read from another object or imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not node.attr.startswith("__"):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            yield node.attr, own
        elif isinstance(node, ast.ImportFrom):
            yield from ((alias.name, False) for alias in node.names)


def defined(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def test_private_names_of_other_packages_stand_in_one_list():
    trees = [ast.parse(file.read_text()) for file in product().values()]
    ours = {name for tree in trees for name in defined(tree)}
    used = {(name, own) for tree in trees for name, own in private_names(tree) if name.startswith("_")}
    listed = set().union(*PRIVATE_NAMES.values())
    assert {name for name, own in used if not own or name not in ours} <= listed <= ours | {name for name, _ in used}
    for requirement in PRIVATE_NAMES:
        package, _, version = requirement.partition("==")
        assert importlib.metadata.version(package) == version, f"check our use of {PRIVATE_NAMES[requirement]}"


def registrations(text):
    """The lines that register something with a lower app."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    register = re.compile(r"((kinds|retention|tone|slots)\.register|(\w+\.)?register_inline)$")
    return [call.lineno for call in calls if register.match(ast.unparse(call.func))]


def test_apps_register_things_when_they_are_ready_and_nowhere_else():
    assert {path for path in SOURCES if registrations(SOURCES[path].read_text())} == {
        f"{package}/apps.py" for package in {"courses", "jobs", "conversations"} | SURFACES
    }
    assert registrations("ANSWER = kinds.register(JobKind(x))\nadmin.register_inline(AiJob, x)") == [1, 2]


def test_every_slot_is_offered_once_and_by_an_app_below_those_that_fill_it():
    offered = [
        (name, app)
        for app, folder in FOLDERS.items()
        for file in folder.glob("templates/**/*.html")
        for name in re.findall(r'{% slot "([^"]+)" %}', file.read_text())
    ]
    assert len(offered) == len(dict(offered)) > 0
    filled = [
        (name, path.partition("/")[0])
        for path in SOURCES
        for name in re.findall(r'slots\.register\("([^"]+)"', SOURCES[path].read_text())
    ]
    assert {name for name, _ in filled} == dict(offered).keys()
    for name, app in filled:
        assert dict(offered)[name] in MAY_KNOW[app], (name, app)


def test_product_does_not_know_the_development_stack():
    assert {path.partition("/")[0] for path in users_of("devstack")} <= {"devstack"}


def test_only_the_command_line_of_the_development_stack_knows_the_tests():
    assert users_of("tests") == {"devstack/cli.py"}


@pytest.mark.parametrize("command", ["run", "testing"])
def test_running_and_testing_need_no_test_code(command):
    code = f"import sys, manage; from devstack import cli, {command}; print('tests' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.stdout.split() == ["False"], result.stderr


def test_packages_form_no_cycle():
    graph = {package: set() for package in PACKAGES}
    for path in set(SOURCES) - COMPOSITION:
        package = path.partition("/")[0]
        graph[package] |= packages_imported(path) & PACKAGES - {package}
    list(graphlib.TopologicalSorter(graph).static_order())


def test_pipelines_and_prompts_know_no_database():
    for path in SOURCES:
        if Path(path).stem in ("pipeline", "prompts", "citations", "grounding", "content", "digest", "anonymity"):
            assert not any(name.startswith("django") or ".models" in name for name in imported(SOURCES[path])), path


@pytest.mark.parametrize(
    ("module", "owners"),
    [
        ("backoff", {"llm/retry.py"}),
        ("openai", {"llm/sdk.py", "llm/errors.py"}),
        ("channels.layers", {"jobs/events/publish.py", "jobs/events/feed.py"}),
    ],
)
def test_dangerous_packages_have_their_owners(module, owners):
    users = {path for path in users_of(module) if not path.startswith("devstack/")}
    assert users <= owners, users - owners


def writes_status(node):
    """Whether this node changes the status of rows, in any of the ways that Django knows."""
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return any(isinstance(target, ast.Attribute) and target.attr == "status" for target in targets)
    if not isinstance(node, ast.Call):
        return False
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    if name == "bulk_update":
        return "status" in ast.unparse(node)
    writes = ("update", "create", "acreate", "aupdate", "update_or_create", "get_or_create", "AiJob", "setattr")
    return name in writes and (any(key.arg == "status" for key in node.keywords) or "'status'" in ast.unparse(node))


def writers_of_rows(trees):
    """The files that create, change or delete jobs through their manager or `save`."""
    writes = re.compile(
        r"AiJob\.objects\b.*\.(a?create|bulk_create|a?update|bulk_update|a?delete)\(|\bjob\.a?(save|delete)\("
    )
    return {path for path, tree in trees.items() if writes.search(ast.unparse(tree))}


def test_one_module_moves_jobs_from_state_to_state():
    handling_jobs = {*of("jobs"), *users_of("jobs")}
    trees = {path: ast.parse(SOURCES[path].read_text()) for path in handling_jobs if not path.startswith("devstack/")}
    writers = {path for path, tree in trees.items() if any(writes_status(node) for node in ast.walk(tree))}
    assert writers == {"jobs/lifecycle/transitions.py"}
    assert {path for path in writers_of_rows(trees) if not path.startswith("jobs/")} == set()
    by_hand = {path for path in handling_jobs if "UPDATE jobs_aijob" in SOURCES[path].read_text()}
    assert by_hand == {"jobs/lifecycle/sql.py"}
    assert users_of("jobs.lifecycle.sql") == {"jobs/submission.py", "jobs/lifecycle/transitions.py"}


@pytest.mark.parametrize(
    "code",
    ["AiJob.objects.filter(pk=1).update(result=x)", "AiJob.objects.create(x)", "job.save()", "job.delete()"],
)
def test_the_check_above_sees_rows_written(code):
    assert writers_of_rows({"surface.py": ast.parse(code)})


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        ("@functools.cache\ndef f(): pass", {"cache"}),
        ("seen = weakref.WeakKeyDictionary()", {"WeakKeyDictionary"}),
        ("def f():\n    global x", {"global"}),
    ],
)
def test_the_check_of_module_globals_sees_them(code, kept):
    assert kept_state(ast.parse(code)) == kept


@pytest.mark.parametrize(
    "code",
    [
        "job.status = 'failed'",
        "setattr(job, 'status', x)",
        "AiJob(status=x)",
        "AiJob.objects.create(status=x)",
        "jobs.update(status='failed')",
        "jobs.update(**{'status': x})",
        "jobs.bulk_update(rows, ['status'])",
    ],
)
def test_the_check_above_sees_every_way(code):
    assert any(writes_status(node) for node in ast.walk(ast.parse(code)))


def ours():
    """The files that people write and read here, except for tests: lists of cases may be long."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py", "*.js", "*.html"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    files = [ROOT / line for line in listed.stdout.splitlines()] or [*SOURCES.values()]
    return [file for file in files if file.exists() and not {"vendor", "migrations", "tests"} & set(file.parts)]


def test_no_file_is_too_long():
    too_long = {
        file.relative_to(ROOT).as_posix(): lines
        for file in ours()
        if (lines := len(file.read_text().splitlines())) > MOST_LINES
    }
    too_long.pop("platform/config/settings.py", None)
    assert not too_long


PAGES = ["README.md", "CONTEXT.md", *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))]


def missing_paths(text):
    """The files and folders that a page names and that do not exist."""
    named = {name for name in re.findall(r"`([\w.-]+/[\w/.-]*)`", text) if not name.startswith((".", "v1/"))}
    return {name for name in named - set(NAMED) if not any((top / name).exists() for top in (ROOT, ROOT / "platform"))}


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_files_that_exist(page):
    assert not missing_paths((ROOT / page).read_text())


def test_the_check_above_sees_files_that_are_gone():
    assert missing_paths("`jobs/runner_of_old.py` and `llm/client.py` and `jobs/worker/`") == {"jobs/runner_of_old.py"}
