"""Reads settings from the environment, checks each, and reports all faults together (docs/decisions/0032).

Each method of `Env` reads one setting. A setting that is missing or cannot be used raises nothing: it is noted, and
`finish` ends the process with one message about all of them. Values of secrets are never shown.
"""

from __future__ import annotations

import builtins
import difflib
import re
from collections.abc import Callable, Collection, MutableMapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

T = TypeVar("T")
REQUIRED: Any = object()  # as a default: the process does not start without the setting
MOST = 10**12  # of whole numbers without another bound: Postgres and Redis compute with them
SHOWN = 60  # characters of a value that a message quotes
BOOLS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
INTEGER, DECIMAL = re.compile(r"[+-]?[0-9]+(_[0-9]+)*"), re.compile(r"[+-]?([0-9]+(_[0-9]+)*)?(\.[0-9]+)?")
WORD = re.compile(r"[!-~]+")
NAME = r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f]*:[0-9a-f:.]+\])"
HOST = re.compile(rf"\*|\.?{NAME}", re.IGNORECASE)
ORIGIN = re.compile(rf"https?://(\*\.)?{NAME}(:[0-9]{{1,5}})?")
USUAL_PORT = re.compile("http:.*:80|https:.*:443")  # browsers leave it out
# What Kubernetes sets for each service of the namespace: with a service "jobs", JOBS_PORT and JOBS_SERVICE_HOST.
KUBERNETES = re.compile(r"\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")
SLIP, RELATED = 0.84, 0.6  # difflib's ratio for a misspelt name, and for a guess at what was meant
DISTINCTIVE = 12  # a name of this length that is nearly one of ours belongs to no other program

POSTGRES = ("postgres", "postgresql", "pgsql")
POSTGRES_URL = "postgres://user:password@host:5432/name, special characters of the password percent-encoded"
REDIS_URL = "redis://host:6379/0, rediss://... for TLS, or unix:///path?db=0; the database is a number"


class Wrong(ValueError):
    """A value cannot be used. The message says why, without quoting the value."""


class Env:
    """The settings of one process, read from `environ`.

    `prefixes`: variables with these prefixes are no other program's, so unknown ones are faults. `strangers` are
    exceptions. (`builtins.` in annotations: within the class `int` and the like are its methods.)
    """

    def __init__(
        self,
        environ: MutableMapping[builtins.str, builtins.str],
        prefixes: tuple[builtins.str, ...],
        strangers: Collection[builtins.str] = (),
    ) -> None:
        self.allowed: dict[builtins.str, builtins.str] = {}  # for each setting that was read: what its value may be
        self.defaults: dict[builtins.str, Any] = {}
        self._environ, self._prefixes, self._strangers = environ, prefixes, strangers
        self._shown: dict[builtins.str, builtins.str] = {}
        self._missing: builtins.list[builtins.str] = []
        self._faults: dict[builtins.str, builtins.str] = {}
        self._conflicts: builtins.list[builtins.str] = []

    def read_file(self, path: Path) -> None:
        """Set the variables of this file, one NAME=value a line, unless they are set already. It need not exist."""
        for line in path.read_text().splitlines() if path.is_file() else []:
            name, _, value = line.partition("=")
            self._environ.setdefault(name, value)

    def int(
        self,
        name: builtins.str,
        default: builtins.int = REQUIRED,
        *,
        least: builtins.int = 0,
        most: builtins.int = MOST,
    ) -> builtins.int:
        """A whole number."""
        allowed = f"a whole number from {least:_} to {most:_}"
        return int(self._read(name, default, 0, allowed, lambda text: _number(text, INTEGER, int, least, most)))

    def float(
        self,
        name: builtins.str,
        default: builtins.float = REQUIRED,
        *,
        least: builtins.float = 0.0,
        most: builtins.float = 86_400,
    ) -> builtins.float:
        """A number, with decimals."""
        allowed = f"a number from {least:g} to {most:g}"
        return self._read(name, default, 0.0, allowed, lambda text: _number(text, DECIMAL, float, least, most))

    def dollars(self, name: builtins.str, default: Decimal = REQUIRED) -> Decimal:
        """An amount in US dollars."""
        allowed = f"a number from 0 to {10**9:_}"
        return self._read(name, default, Decimal(), allowed, lambda text: _number(text, DECIMAL, Decimal, 0, 10**9))

    def bool(self, name: builtins.str, default: builtins.bool = REQUIRED) -> builtins.bool:
        """A switch. An unknown word is a fault: read as "off" it would switch off what was meant to be on."""

        def parse(text: builtins.str) -> builtins.bool:
            if text.lower() not in BOOLS:
                raise Wrong
            return BOOLS[text.lower()]

        return self._read(name, default, False, f"one of {', '.join(BOOLS)}", parse)

    def str(
        self,
        name: builtins.str,
        default: builtins.str = REQUIRED,
        *,
        secret: builtins.bool = False,
        least: builtins.int = 0,
    ) -> builtins.str:
        """A text in one line. With `least` it must be hard to guess, and have at least this many characters."""

        def parse(text: builtins.str) -> builtins.str:
            if len(text) < least or len(set(text)) < min(least, 5):
                raise Wrong("it can be guessed")
            return text

        allowed = f"a random text of {least} or more characters" if least else "a text in one line"
        return self._read(name, default, "", allowed, parse, secret=secret)

    def word(
        self,
        name: builtins.str,
        default: builtins.str = REQUIRED,
        *,
        secret: builtins.bool = False,
        most: builtins.int = 4000,
    ) -> builtins.str:
        """A text that is sent to other servers in headers: visible ASCII characters, no spaces."""

        def parse(text: builtins.str) -> builtins.str:
            if not WORD.fullmatch(text):
                raise Wrong("there is a space within" if " " in text else "there is a character that is not ASCII")
            if len(text) > most:
                raise Wrong("it is too long")
            return text

        return self._read(name, default, "", f"1 to {most} ASCII characters without spaces", parse, secret=secret)

    def choice(self, name: builtins.str, default: builtins.str, choices: Collection[builtins.str]) -> builtins.str:
        """One of these words, in upper or lower case."""

        def parse(text: builtins.str) -> builtins.str:
            known = {choice.lower(): choice for choice in choices}
            if text.lower() not in known:
                raise Wrong
            return known[text.lower()]

        return self._read(name, default, default, f"one of {', '.join(choices)}", parse)

    def list(self, name: builtins.str, default: builtins.list[builtins.str] = REQUIRED) -> builtins.list[builtins.str]:
        """Words separated by commas."""
        allowed = "words of ASCII characters, separated by commas"
        return self._read(name, default, [], allowed, lambda text: _items(text, _word))

    def hosts(self, name: builtins.str, default: builtins.list[builtins.str] = REQUIRED) -> builtins.list[builtins.str]:
        """Host names as Django's ALLOWED_HOSTS has them."""
        allowed = "host names without scheme and port, separated by commas; .example.org includes all subdomains"
        return self._read(name, default, [], allowed, lambda text: _items(text, _host))

    def origins(
        self, name: builtins.str, default: builtins.list[builtins.str] = REQUIRED
    ) -> builtins.list[builtins.str]:
        """Origins: scheme, host, and port unless it is the scheme's default."""
        allowed = "origins such as https://app.example.org, without a path or the usual port, separated by commas"
        return self._read(name, default, [], allowed, lambda text: _items(text.lower(), _origin))

    def http_url(self, name: builtins.str, default: builtins.str = REQUIRED) -> builtins.str:
        """The base URL of an HTTP API."""
        return self._read(name, default, "", "a URL such as https://host/v1", _http_url)

    def redis_url(self, name: builtins.str) -> builtins.str:
        """The URL of a Redis database."""
        return self._read(name, REQUIRED, "redis://unknown", REDIS_URL, _redis_url, secret=True)

    def postgres_url(self, name: builtins.str) -> dict[builtins.str, Any]:
        """NAME, HOST, PORT, USER, PASSWORD and OPTIONS of Django's DATABASES, from a URL that libpq reads."""
        return self._read(name, REQUIRED, {}, POSTGRES_URL, _postgres_url, secret=True)

    def rule(self, names: tuple[builtins.str, ...], holds: builtins.bool, rule: builtins.str) -> None:
        """Note a fault if the rule between these settings does not hold, unless one of them is faulty by itself."""
        if not holds and not self._faults.keys() & set(names):
            self._conflicts.append(f"{', '.join(self._shown[name] for name in names)}: {rule}")

    def finish(self) -> None:
        """End the process with one message if any setting read so far is missing or faulty, or a name is unknown."""
        faults = [*self._faults.values(), *self._conflicts, *self._unknown()]
        lines = ["Settings that cannot be used:", *(f"  {fault}" for fault in faults)] if faults else []
        if self._missing:
            lines.append(f"Not set in the environment: {', '.join(self._missing)}.")
        if lines:
            about = "docs/operations.md describes them."
            raise SystemExit("\n".join([*lines, about]) if faults else f"{lines[0]} {about}")

    def _read(
        self,
        name: builtins.str,
        default: T,
        nothing: T,
        allowed: builtins.str,
        parse: Callable[[builtins.str], T],
        *,
        secret: builtins.bool = False,
    ) -> T:
        """The parsed value. Empty counts as not set. After a fault `default` or `nothing`, so that reading goes on."""
        self.allowed[name], self.defaults[name] = allowed, default
        text = self._environ.get(name, "").strip()
        fallback = nothing if default is REQUIRED else default
        self._shown[name] = f"{name}={_quoted(text)}" if text and not secret else name
        if not text:
            if default is REQUIRED:
                self._missing.append(name)
            else:
                self._shown[name] = f"{name}={default} (default)"
            return fallback
        try:
            if not text.isprintable():
                raise Wrong("there is a line break or control character within")
            if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
                raise Wrong("leave the quotation marks out")
            return parse(text)
        except ValueError as problem:
            because = f"{problem}; " if isinstance(problem, Wrong) and problem.args else ""
            self._faults[name] = f"{self._shown[name]}: {because}allowed: {allowed}"
            return fallback

    def _unknown(self) -> builtins.list[builtins.str]:
        """Names that nothing reads: those with our prefixes, and misspelt ones. Their values may be secrets."""
        required = {name for name, default in self.defaults.items() if default is REQUIRED}
        faults = []
        for name in sorted(self._environ.keys() - self.allowed.keys() - set(self._strangers)):
            upper = name.strip().upper()
            if KUBERNETES.fullmatch(upper):
                continue
            is_ours = upper.startswith(self._prefixes)
            near = next(iter(difflib.get_close_matches(upper, self.allowed, 1, RELATED if is_ours else SLIP)), "")
            if not is_ours and near:
                alike = len(near) >= DISTINCTIVE or near.partition("_")[0] == upper.partition("_")[0]
                is_ours = near in self._missing or (alike and near not in required)
            if is_ours:
                faults.append(f"{name}: unknown{f', is {near} meant?' if near else ''}")
        return faults


def _number(text: str, form: re.Pattern[str], make: Callable[[str], T], least: Any, most: Any) -> T:
    if not form.fullmatch(text) or not text[-1].isdigit():
        raise Wrong
    value = make(text)
    if not least <= value <= most:
        raise Wrong
    return value


def _items(text: str, check: Callable[[str], None]) -> list[str]:
    items = [item.strip() for item in text.split(",") if item.strip()]
    if not items:
        raise Wrong
    for item in items:
        check(item)
    return items


def _word(text: str) -> None:
    if not WORD.fullmatch(text):
        raise Wrong(f"{_quoted(text)} is not one")


def _host(text: str) -> None:
    if not HOST.fullmatch(text):
        raise Wrong(f"{_quoted(text)} is not one")


def _origin(text: str) -> None:
    if not ORIGIN.fullmatch(text) or USUAL_PORT.fullmatch(text):
        raise Wrong(f"{_quoted(text)} is not one")


def _http_url(text: str) -> str:
    parts = _split(text)
    if " " in text or parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise Wrong
    return text


def _redis_url(text: str) -> str:
    parts = _split(text)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise Wrong("it does not begin with redis://, rediss:// or unix://")
    numbers = parse_qs(parts.query).get("db", [])
    if parts.scheme == "unix":
        if not parts.path.strip("/"):
            raise Wrong("it names no socket")
    else:
        if not parts.hostname:
            raise Wrong("it names no host")
        numbers += [unquote(parts.path).strip("/")] if parts.path.strip("/") else []
    if not all(re.fullmatch("[0-9]{1,5}", number) for number in numbers):
        raise Wrong("its database is not a number")
    return text


def _postgres_url(text: str) -> dict[str, Any]:
    scheme, colon, rest = text.partition("://")
    if scheme not in POSTGRES or not colon:
        raise Wrong("it does not begin with postgres://")
    try:
        parts: dict[str, Any] = conninfo_to_dict(f"postgres://{rest}")
    except ProgrammingError:
        raise Wrong("libpq cannot read it") from None
    entries = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    if "service" not in parts:
        if "host" not in parts and "hostaddr" not in parts:
            raise Wrong("it names no host")
        if "dbname" not in parts:
            raise Wrong("it names no database")
    if "@" in parts.get("host", "") + parts.get("dbname", ""):  # a piece of the password
        raise Wrong("libpq cannot tell where its password ends")
    if not all(port.isdecimal() and 0 < int(port) < 65536 for port in parts.get("port", "5432").split(",")):
        raise Wrong("its port is not a port number")
    config = {entry: parts.pop(key, "") for key, entry in entries.items()}
    return {**config, "OPTIONS": parts}


def _split(url: str) -> SplitResult:
    """Like urlsplit, but raises Wrong also for a port that is not a number."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise Wrong("it is not a URL") from None
    return parts


def _quoted(text: str) -> str:
    """The value as messages show it: short, printable, and without what may be a password or a key."""
    if "@" in text or text.startswith("sk-"):
        return "..."
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
    return shown if shown.isprintable() else repr(shown)
