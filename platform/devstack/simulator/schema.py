"""Structured outputs: builds an instance of a JSON schema from words of the prompt."""

import math
import re
from typing import Any

from .errors import ApiError, bad_request
from .text import stems

_CLAUSE_END = re.compile(r"[.!?;:,\n\"{}\[\]()]+\s*")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])")
_FORMATS = {
    "date": "2026-01-15",
    "date-time": "2026-01-15T09:00:00Z",
    "time": "09:00:00Z",
    "email": "learner@example.com",
    "uuid": "00000000-0000-4000-8000-000000000001",
    "uri": "https://example.com/",
}
_PROSE_NAMES = ("answer", "reply", "response", "explanation", "text", "content", "markdown", "message")
# Depth at which recursive schemas end: deeper optional parts and arrays stay empty.
DEEPEST = 6
MOST_HOPS = 20


def instance(schema: dict[str, Any], source: str, prose: str) -> Any:
    """An instance of the schema, filled from `source`. Raises ApiError for an invalid or unsupported schema."""
    try:
        return _Filler(schema, source, prose).build(schema)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
        raise bad_request("Invalid schema for response_format.", "response_format") from error


class _Filler:
    """Builds one instance; `prose` is the text for fields that hold a whole answer."""

    def __init__(self, root: dict[str, Any], source: str, prose: str) -> None:
        self._root, self._prose = root, prose
        self._clauses = [clause.strip() for clause in _CLAUSE_END.split(source) if stems(clause)] or ["course"]
        self._words = set(stems(source))
        self._numbers = [float(number) for number in _NUMBER.findall(prose or source)]

    def build(self, schema: dict[str, Any], name: str = "", depth: int = 0) -> Any:
        """An instance of a (sub)schema; `name` is its field's name and description."""
        schema = self._resolve(schema, depth)
        if values := schema.get("enum", [schema["const"]] if "const" in schema else []):
            return max(values, key=lambda value: len(self._words & _stems_of(str(value))))
        kinds = schema.get("type", "object" if "properties" in schema else "string")
        match next((kind for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind != "null"), "null"):
            case "object":
                fields, required = schema.get("properties", {}), schema.get("required", [])
                kept = [key for key in fields if key in required or depth < DEEPEST]
                described = {key: f"{key} {fields[key].get('description', '')}" for key in kept}
                return {key: self.build(fields[key], described[key], depth + 1) for key in kept}
            case "array":
                least, most = schema.get("minItems", 0), schema.get("maxItems", 3)
                count = least if depth >= DEEPEST else max(least, min(most, 3))
                items = [self.build(schema.get("items", {}), "", depth + 1) for _ in range(count)]
                distinct = [item for at, item in enumerate(items) if item not in items[:at]]
                return distinct if len(distinct) >= least else items
            case "string":
                return self._string(schema, name)
            case "number" | "integer" as kind:
                return self._number(schema, kind == "integer")
            case "boolean" | "null" as kind:
                return bool(self._words & _stems_of(name)) if kind == "boolean" else None
        raise ValueError(f"unknown type {kinds!r}")

    def _resolve(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        """The schema with references and choices resolved; below DEEPEST nullable values are null."""
        for _ in range(MOST_HOPS):
            if "$ref" in schema:
                target: Any = self._root
                for part in schema["$ref"].removeprefix("#").strip("/").split("/"):
                    target = target[part] if part else target
                schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
            elif branches := schema.get("anyOf") or schema.get("oneOf"):
                ranked = sorted(branches, key=lambda branch: (branch.get("type") == "null") == (depth < DEEPEST))
                schema = ranked[0]
            elif parts := schema.get("allOf"):
                schema = {**schema, "allOf": [], **{key: value for part in parts for key, value in part.items()}}
            else:
                return schema
        raise ValueError("references that lead nowhere")

    def _string(self, schema: dict[str, Any], name: str) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        if self._prose and name.split(" ", 1)[0].lower().endswith(_PROSE_NAMES):
            text = self._prose
        else:
            # The clause that shares words with the field's name, or else the next one in turn.
            text = max(self._clauses, key=lambda clause: len(_stems_of(name) & _stems_of(clause)))
            self._clauses.append(self._clauses.pop(self._clauses.index(text)))
        least, most = schema.get("minLength", 0), schema.get("maxLength", 600)
        return text[:most].ljust(least, ".")

    def _number(self, schema: dict[str, Any], is_whole: bool) -> float:
        """The next fitting number of the prompt; moves it to the end, so that lists get different numbers."""
        step = schema.get("multipleOf", 1 if is_whole else 0)
        low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf) + (step or 1e-9))
        high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf) - (step or 1e-9))
        fitting = (number for number in self._numbers if low <= number <= high and not (step and number % step))
        found = next(fitting, None)
        if found is None:
            found = min(max(1, low), high)
            return math.ceil(found / step) * step if step else found
        self._numbers.append(self._numbers.pop(self._numbers.index(found)))
        return int(found) if is_whole else found


def _stems_of(text: str) -> set[str]:
    return set(stems(re.sub(r"[_-]+", " ", text)))


def check_strict(schema: Any, path: tuple[str, ...] = ()) -> None:
    """Refuse, as OpenAI does, a strict schema with open objects or optional properties."""
    if isinstance(schema, list):
        for index, part in enumerate(schema):
            check_strict(part, (*path, str(index)))
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" and "const" not in schema:
        if schema.get("additionalProperties") is not False:
            raise _not_strict(path, "'additionalProperties' is required to be supplied and to be false")
        if missing := set(schema.get("properties", {})) - set(schema.get("required", [])):
            reason = "'required' is required to be supplied and to be an array including every key in "
            raise _not_strict(path, f"{reason}properties. Missing '{min(missing)}'")
    for key, part in schema.items():
        if key in ("properties", "$defs", "definitions"):
            for name, inner in part.items():
                check_strict(inner, (*path, key, name))
        elif key in ("items", "anyOf", "allOf", "oneOf"):
            check_strict(part, (*path, key))


def _not_strict(path: tuple[str, ...], reason: str) -> ApiError:
    message = f"Invalid schema for response_format: In context={path!r}, {reason}."
    return bad_request(message, "response_format", "invalid_request_error")
