"""Builds what the Dockerfile describes without a container engine: its files and a virtualenv for its commands."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import venv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from importlib.metadata import Distribution, distribution
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support import ROOT

Command = list[str]


class Dockerfile:
    """The instructions of the last stage; `packages` are those of the stage that installs."""

    def __init__(self, text: str) -> None:
        lines = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
        instructions = [tuple(line.split(maxsplit=1)) for line in lines]
        last = max(i for i, (name, _) in enumerate(instructions) if name == "FROM")
        self.packages, self._final = instructions[:last], instructions[last:]

    def all(self, name: str) -> list[str]:
        """The arguments of every instruction of this name."""
        return [rest for instruction, rest in self._final if instruction == name]

    def command(self, name: str) -> Command:
        """The JSON command of CMD or HEALTHCHECK."""
        (rest,) = self.all(name)
        return json.loads(rest[rest.index("[") :])

    @property
    def copied(self) -> list[tuple[str, str]]:
        """(source, target) of everything copied from the repository."""
        pairs = [rest.split() for rest in self.all("COPY") if not rest.startswith("--from")]
        return [(source, target) for source, target in pairs]

    @property
    def env(self) -> dict[str, str]:
        return dict(pair.split("=", 1) for rest in self.all("ENV") for pair in rest.split())


@dataclass
class Image:
    """The content of the image: the application and the installed packages."""

    app: Path
    venv: Path
    env: dict[str, str]
    built: set[str] = field(default_factory=set)

    @classmethod
    def build(cls, folder: Path, dockerfile: Dockerfile) -> Image:
        """Execute COPY, install requirements.txt, and execute the RUN commands in /app."""
        app, packages = folder / "app", folder / "venv"
        for source, target in dockerfile.copied:
            _copy(ROOT / source, app / target, ignored_by_docker())
        _make_venv(packages)
        env = {**dockerfile.env, "PATH": dockerfile.env["PATH"].replace("/opt/venv", str(packages))}
        env["PATH"] = env["PATH"].replace("$PATH", "/usr/bin:/bin")
        image = cls(app, packages, env)
        for run in dockerfile.all("RUN"):
            if "manage.py" in run:
                image.run(["sh", "-ec", run], {}).check_returncode()
        image.built = image.files()
        return image

    def run(self, command: Command, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, without this process's environment."""
        env = self.env | env
        return subprocess.run(command, cwd=self.app, env=env, check=False, capture_output=True, text=True, timeout=60)

    def start(self, command: Command, env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
        """Start a command that keeps running."""
        with log.open("ab") as output:
            return subprocess.Popen(command, cwd=self.app, env=self.env | env, stdout=output, stderr=output)

    def files(self) -> set[str]:
        """The files in the application's folder, without byte code."""
        paths = (path.relative_to(self.app) for path in self.app.rglob("*") if path.is_file())
        return {str(path) for path in paths if "__pycache__" not in path.parts}

    @property
    def packages(self) -> set[str]:
        """Names of the installed packages."""
        return {canonicalize_name(path.name.split("-")[0]) for path in _site(self.venv).glob("*.dist-info")}


def compose() -> dict[str, dict]:
    """The services of compose.yaml."""
    return yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]


def ignored_by_docker() -> Callable[[str, list[str]], set[str]]:
    """`ignore` for shutil.copytree, with the patterns of .dockerignore."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line.rstrip("/") for line in lines if line and not line.startswith("#")]

    def ignore(folder: str, names: list[str]) -> set[str]:
        return {name for name in names if any(_matches(Path(folder, name), pattern) for pattern in patterns)}

    return ignore


def requirements(name: str) -> list[Requirement]:
    """The packages that a requirements file names directly."""
    lines = (re.sub(r"\s*#.*", "", line) for line in (ROOT / name).read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def _matches(path: Path, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch(path.name, pattern.removeprefix("**/"))
    names, wanted = path.relative_to(ROOT).parts, pattern.split("/")
    return len(names) == len(wanted) and all(map(fnmatch, names, wanted))  # * stands for no slash


def _copy(source: Path, target: Path, ignore: Callable[[str, list[str]], set[str]]) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=ignore, dirs_exist_ok=True)
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def _make_venv(folder: Path) -> None:
    """A virtualenv with exactly the packages of requirements.txt, linked from the running one.

    Installing the same pinned versions with pip would take most of a minute.
    """
    venv.create(folder, symlinks=True)
    for package in _with_dependencies(requirements("requirements.txt")):
        for file in package.files or []:
            if ".." not in file.parts:  # scripts, which the image does not use
                link = _site(folder) / file
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(str(package.locate_file(file)))


def _with_dependencies(wanted: Iterable[Requirement]) -> Iterator[Distribution]:
    todo, seen = list(wanted), set()
    while todo:
        requirement = todo.pop()
        key = (canonicalize_name(requirement.name), *sorted(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        package = distribution(requirement.name)
        if not any(name == key[0] for name, *_ in seen - {key}):
            yield package
        todo += [needed for needed in map(Requirement, package.requires or []) if _applies(needed, requirement.extras)]


def _applies(requirement: Requirement, extras: set[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras | {""})


def _site(folder: Path) -> Path:
    return next(folder.glob("lib/python*/site-packages"))
