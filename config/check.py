"""A section of the document against its type: what is wrong, in words that say what would be right."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from config.document import Node, Path, Scalar, dotted, follow
from config.errors import Problem

Model = TypeVar("Model", bound=BaseModel)

_SECRET_KEY = re.compile(r"pass|secret|token|key|community", re.IGNORECASE)
_SHOWN = 40


@dataclass(slots=True)
class Report:
    """What is found wrong, each with its place in the document."""

    root: Node
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def error(self, path: Path, what: str, at: Node | None = None) -> None:
        self.errors.append(self.problem(path, what, at))

    def warn(self, path: Path, what: str) -> None:
        self.warnings.append(self.problem(path, what))

    def place(self, path: Path) -> str:
        """`file:line` of this path, for a text that refers to it."""
        node = follow(self.root, path)
        return f"{node.file}:{node.line}"

    def problem(self, path: Path, what: str, at: Node | None = None) -> Problem:
        """`at`: the place, where it is not the one that the path leads to."""
        node = at or follow(self.root, path)
        return Problem(file=node.file, line=node.line, key=dotted(self.root, path), what=what)


def nearest(word: str, known: Iterable[str]) -> str:
    """'; did you mean x?', '; known are: a, b', or '' where nothing is known."""
    names = sorted(set(known))
    folded = {name.casefold(): name for name in names}
    found = difflib.get_close_matches(word.casefold()[:64], folded, n=1, cutoff=0.6)
    if found:
        return f"; did you mean {folded[found[0]]}?"
    if not names:
        return ""
    return f"; known are: {', '.join(names)}" if len(names) <= 24 else f"; known are: {', '.join(names[:24])} and {len(names) - 24} more"


def shown(path: Path, value: Scalar) -> str:
    """', not VALUE' for a message; '' where the value may be a secret."""
    if any(isinstance(step, str) and _SECRET_KEY.search(step) for step in path):
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f", not {ascii(text[:_SHOWN]) if not text.isprintable() else repr(text[:_SHOWN])}"


def checked(
    model: type[Model], node: Node, path: Path, report: Report, context: Mapping[str, Any], *, partial: bool = False, also_known: Iterable[str] = ()
) -> Model | None:
    """The section as its type; None, and what is wrong reported, where it is not one.

    A key that wants text gets a number or a word as it is written; a key without value is as if it were not there.
    `partial`: keys may be missing (they may be given elsewhere). `also_known`: keys that may stand beside, for a suggestion.
    """
    as_text: set[int] = set()
    dropped: set[int] = set()
    while True:
        try:
            return model.model_validate(_plain(node, as_text, dropped), context=dict(context))
        except ValidationError as invalid:
            errors = invalid.errors(include_url=False, include_input=False)
        again = False
        for error in errors:
            target = follow(node, error["loc"])
            if error["type"] == "extra_forbidden" or id(target) in dropped or id(target) in as_text:
                continue
            if target.value is None and target is not node:
                dropped.add(id(target))
                again = True
            elif error["type"] == "string_type" and target.text is not None and not isinstance(target.value, str):
                as_text.add(id(target))
                again = True
        if not again:
            break
    for error in errors:
        if not (partial and error["type"] == "missing"):
            steps = _known_steps(node, error["loc"], error["type"])
            report.error((*path, *steps), _words(model, node, path, error, also_known), follow(node, error["loc"]))
    return None


def _plain(node: Node, as_text: set[int], dropped: set[int]) -> Any:
    if isinstance(node.value, dict):
        return {key: _plain(inner, as_text, dropped) for key, inner in node.value.items() if id(inner) not in dropped}
    if isinstance(node.value, list):
        return [_plain(inner, as_text, dropped) for inner in node.value if id(inner) not in dropped]
    return node.text if id(node) in as_text else node.value


def _known_steps(node: Node, loc: tuple[str | int, ...], kind: str) -> Path:
    """The steps of pydantic's location that are in the document, and the missing key at its end."""
    steps: list[str | int] = []
    for step in loc:
        inner = follow(node, (step,))
        if inner is not node:
            steps.append(step)
            node = inner
    if kind == "missing" and loc:
        steps.append(loc[-1])
    return tuple(steps)


def section_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The type of the section at this location; None where it cannot be told."""
    current: type[BaseModel] | None = model
    passed_over = 0
    for step in loc:
        if passed_over:
            passed_over -= 1
        elif current is None or not isinstance(step, str) or step not in current.model_fields:
            return None
        else:
            current, passed_over = _inner(current.model_fields[step].annotation)
    return current


def _inner(annotation: Any) -> tuple[type[BaseModel] | None, int]:
    """The section inside this annotation, and how many containers it is wrapped in."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, 0
    origin = get_origin(annotation)
    container = int(isinstance(origin, type) and issubclass(origin, dict | list | tuple | set | frozenset | Mapping))
    found = [(model, depth) for model, depth in map(_inner, get_args(annotation)) if model is not None]
    return (found[0][0], found[0][1] + container) if len(found) == 1 else (None, 0)


def _words(model: type[BaseModel], node: Node, path: Path, error: Any, also_known: Iterable[str]) -> str:
    loc, kind, bounds = error["loc"], error["type"], error.get("ctx", {})
    target = follow(node, loc)
    given = ""
    if isinstance(target.value, dict | list):
        if kind != "value_error":
            given = ", not a mapping" if isinstance(target.value, dict) else ", not a list"
    else:
        given = shown((*path, *loc), target.value if target.text is None else target.text)
    if loc and loc[-1] == "[key]":
        return "this name may not be used: letters, digits, dot, dash and underscore, at most 64, a letter or digit first"
    match kind:
        case "extra_forbidden":
            return _unknown_key(section_at(model, loc[:-1]), str(loc[-1]), also_known if len(loc) == 1 else ())
        case "missing":
            section = section_at(model, loc[:-1])
            described = section.model_fields[str(loc[-1])].description if section and str(loc[-1]) in section.model_fields else ""
            return f"is missing: {described}" if described else "is missing"
        case "value_error":
            what = str(bounds["error"])
            return what if given.removeprefix(", not ").strip("'\"") in what else what + given
        case "int_type" | "int_parsing" | "int_from_float" | "int_parsing_size":
            return f"must be a whole number{given}"
        case "float_type" | "float_parsing" | "finite_number":
            return f"must be a number{given}"
        case "bool_type" | "bool_parsing":
            return f"must be true or false{given}"
        case "string_type" | "path_type":
            return f"must be text{given}"
        case "list_type" | "tuple_type" | "set_type" | "frozen_set_type":
            return f"must be a list, such as [a, b]{given}"
        case "dict_type" | "model_type" | "model_attributes_type" | "mapping_type":
            return f"must be a mapping of keys to values{given}"
        case "literal_error" | "enum":
            return f"must be one of {bounds['expected'].replace(chr(39) * 2 + ', ', '').replace(chr(39), '').replace(' or ', ', ')}{given}"
        case "greater_than":
            return f"must be more than {bounds['gt']:g}{given}"
        case "greater_than_equal":
            return f"must be at least {bounds['ge']:g}{given}"
        case "less_than":
            return f"must be less than {bounds['lt']:g}{given}"
        case "less_than_equal":
            return f"must be at most {bounds['le']:g}{given}"
        case "string_too_short" | "too_short":
            return "must not be empty"
        case "string_too_long":
            return f"must have at most {bounds['max_length']} characters"
        case "string_pattern_mismatch":
            return f"may hold letters, digits, dot, dash and underscore, at most 64, a letter or digit first{given}"
        case "date_type" | "date_parsing" | "date_from_datetime_parsing":
            return f"must be a day written as YYYY-MM-DD{given}"
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}{given}"


def _unknown_key(section: type[BaseModel] | None, key: str, also_known: Iterable[str]) -> str:
    known = [*(field.alias or name for name, field in section.model_fields.items()), *also_known] if section else []
    bare = key.casefold()
    for secret in ("password", "community", "token", "secret", "auth_key", "priv_key", "api_key"):
        if bare == secret and f"{secret}_file" in known:
            return f"a secret does not stand in this file: put it in a file of its own (chmod 600) and name that with {secret}_file"
    return f"unknown key{nearest(key, known)}"
