"""Structured outputs: an instance that conforms to a JSON schema, filled with words of the prompt."""

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
_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_PROSE_NAMES = ("answer", "reply", "response", "explanation", "text", "content", "markdown", "message")
# Recursive schemas end here: optional parts and arrays stay empty below it.
DEEPEST = 6
MOST_HOPS = 20


def instance(schema: dict[str, Any], source: str, prose: str) -> Any:
    """An instance of the schema made of `source`; ApiError if it is no schema that can be followed."""
    try:
        return Filler(schema, source, prose).build(schema)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
        raise bad_request("Invalid schema for response_format.", "response_format") from error


class Filler:
    """Builds one instance; `prose` is the text for fields that hold a whole answer."""

    def __init__(self, root: dict[str, Any], source: str, prose: str) -> None:
        self._root = root
        self._prose = prose
        clauses = [clause.strip() for clause in _CLAUSE_END.split(source) if stems(clause)]
        self._clauses = clauses or ["course"]
        self._words = set(stems(source))
        self._numbers = [float(number) for number in _NUMBER.findall(prose or source)]
        self._used = 0

    def build(self, schema: dict[str, Any], name: str = "", depth: int = 0) -> Any:
        """An instance of a (sub)schema; `name` is the field it stands in."""
        schema = self._resolve(schema, depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._closest(schema["enum"])
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = next((one for one in kind if one != "null"), "null")
        if kind not in _TYPES:
            raise ValueError(f"unknown type {kind!r}")
        return getattr(self, f"_{kind}")(schema, name, depth)

    def _resolve(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        for _ in range(MOST_HOPS):
            if "$ref" in schema:
                target: Any = self._root
                for part in schema["$ref"].removeprefix("#").strip("/").split("/"):
                    target = target[part] if part else target
                schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
            elif branches := schema.get("anyOf") or schema.get("oneOf"):
                real = [branch for branch in branches if branch.get("type") != "null"]
                nullable = len(real) < len(branches)
                schema = {"type": "null"} if nullable and (depth >= DEEPEST or not real) else real[0]
            elif parts := schema.get("allOf"):
                merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
                for part in parts:
                    merged |= self._resolve(part, depth)
                schema = merged
            else:
                return schema
        raise ValueError("references that lead nowhere")

    def _object(self, schema: dict[str, Any], name: str, depth: int) -> dict[str, Any]:
        required = schema.get("required", [])
        return {
            key: self.build(value, f"{key} {value.get('description', '')}", depth + 1)
            for key, value in schema.get("properties", {}).items()
            if key in required or depth < DEEPEST
        }

    def _array(self, schema: dict[str, Any], name: str, depth: int) -> list[Any]:
        least, most = schema.get("minItems", 0), schema.get("maxItems", 10)
        item = self._resolve(schema.get("items", {"type": "string"}), depth)
        if "enum" in item:
            return self._closest_few(item["enum"], least, most)
        count = least if depth >= DEEPEST else max(least, min(most, 3))
        built = [self.build(item, "item", depth + 1) for _ in range(count)]
        return _distinct(built, least)

    def _string(self, schema: dict[str, Any], name: str, depth: int) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        field = name.split(" ", 1)[0].lower()
        text = self._prose if self._prose and field.endswith(_PROSE_NAMES) else self._clause(name)
        least, most = schema.get("minLength", 0), schema.get("maxLength", 600)
        while len(text) < least:
            text += f" {self._clause('item')}"
        return text if len(text) <= most else text[:most].rsplit(" ", 1)[0].ljust(least, ".")[:most]

    def _number(self, schema: dict[str, Any], name: str, depth: int) -> float:
        low, high = _bounds(schema, 1e-9)
        found = self._number_of_prompt(low, high, 0)
        if found is None:
            found = (low + high) / 2 if math.isfinite(low + high) else _inside(low, high)
        return found

    def _integer(self, schema: dict[str, Any], name: str, depth: int) -> int:
        low, high = _bounds(schema, 1)
        step = schema.get("multipleOf", 1)
        found = self._number_of_prompt(low, high, step)
        return int(found) if found is not None else math.ceil(_inside(low, high) / step) * step

    def _boolean(self, schema: dict[str, Any], name: str, depth: int) -> bool:
        return bool(self._words & set(stems(name.replace("_", " "))))

    def _null(self, schema: dict[str, Any], name: str, depth: int) -> None:
        return None

    def _number_of_prompt(self, low: float, high: float, step: float) -> float | None:
        """The next number of the prompt that fits; it goes to the back, so that a list gets others."""
        for number in self._numbers:
            if low <= number <= high and (not step or number % step == 0):
                self._numbers.remove(number)
                self._numbers.append(number)
                return number
        return None

    def _clause(self, name: str) -> str:
        """The clause of the prompt that speaks of the field; failing that the next one, in turn."""
        wanted = set(stems(name.replace("_", " ")))
        best = max(self._clauses, key=lambda clause: len(wanted & set(stems(clause))))
        if not wanted & set(stems(best)):
            best = self._clauses[self._used % len(self._clauses)]
            self._used += 1
        words = best.split()
        return " ".join(words[: 8 if name == "item" else 24])

    def _closest(self, values: list[Any]) -> Any:
        return max(values, key=self._overlap)

    def _closest_few(self, values: list[Any], least: int, most: int) -> list[Any]:
        ranked = sorted(values, key=self._overlap, reverse=True)
        fitting = sum(self._overlap(value) > 0 for value in values)
        return ranked[: max(least, min(most, fitting))]

    def _overlap(self, value: Any) -> int:
        return len(self._words & set(stems(re.sub(r"[_-]+", " ", str(value)))))


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


def _bounds(schema: dict[str, Any], step: float) -> tuple[float, float]:
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    if "exclusiveMinimum" in schema:
        low = max(low, schema["exclusiveMinimum"] + step)
    if "exclusiveMaximum" in schema:
        high = min(high, schema["exclusiveMaximum"] - step)
    return low, high


def _distinct(values: list[Any], least: int) -> list[Any]:
    unique = [value for index, value in enumerate(values) if value not in values[:index]]
    return unique if len(unique) >= least else values


def _inside(low: float, high: float) -> float:
    return min(max(1, low), high)
