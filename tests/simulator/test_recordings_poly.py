"""The simulated X30 against recordings of a real one: same keys, same types.

Runs where LATARNIK_RECORDINGS names a folder that holds `poly/x30_3.12.0/METHOD_path.json`, with `_` for `/` in the path.

Compared: the shape of each body; rows of a list together, as the union of their keys with the union of each key's types.
Not compared: values (another room), the number of rows (other parts hang on it), order of keys (JSON has none), headers, status and the
line end after the body (the recordings hold bodies only). An empty list says nothing of its rows, so it is compared as a list alone.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.poly_client import a_device, visiting

FOLDER = os.environ.get("LATARNIK_RECORDINGS", "")
FILES = sorted(Path(FOLDER, "poly", "x30_3.12.0").glob("*_rest_*.json")) if FOLDER else []

needs_recordings = pytest.mark.skipif(not FOLDER, reason="LATARNIK_RECORDINGS is not set: it names the folder with recordings of real devices")


def _shape(value: Any) -> Any:
    """Objects as {key: shape}, lists as [shape of all rows together], anything else as its JSON type."""
    if isinstance(value, dict):
        return {key: _shape(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_union([_shape(row) for row in value])] if value else []
    return {bool: "boolean", int: "number", float: "number", str: "string", type(None): "null"}[type(value)]


def _union(shapes: list[Any]) -> Any:
    if all(isinstance(s, dict) for s in shapes):
        return {key: _union([s[key] for s in shapes if key in s]) for s in shapes for key in s}
    if all(isinstance(s, list) for s in shapes):
        return [_union([row for s in shapes for row in s])] if any(shapes) else []
    return "|".join(sorted({json.dumps(s, sort_keys=True) for s in shapes}))


def _read(body: str) -> Any:
    """A body that is no JSON is a bare word: its shape is the word itself."""
    try:
        return _shape(json.loads(body))
    except json.JSONDecodeError:
        return f"bare {body.strip()}"


@needs_recordings
def test_there_are_recordings() -> None:
    assert FILES, f"LATARNIK_RECORDINGS is {FOLDER}, which holds no poly/x30_3.12.0/*.json"


@needs_recordings
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_the_simulated_x30_answers_in_the_recorded_shape(file: Path) -> None:
    method, _, rest = file.stem.partition("_")
    recorded = file.read_text()  # noqa: ASYNC240 - a small local file, and nothing else runs yet
    body = None
    if method == "POST":
        names = [v["name"] for v in json.loads(recorded)["vars"]] if rest == "rest_config" else None
        body = json.dumps({"names": names} if names else None).encode()
    async with visiting(a_device("x30")) as visitor:
        await visitor.login()
        reply = await visitor.call(method, "/" + rest.replace("_", "/"), body=body)
    assert reply.status == 200
    expected, got = _read(recorded), _read(reply.body.decode())
    if [] in (expected, got):
        assert isinstance(expected, list)
        assert isinstance(got, list)
    else:
        assert got == expected


def test_shapes_tell_a_missing_key_and_another_type_apart() -> None:
    assert _shape([{"a": 1}, {"a": 2, "b": "x"}]) == _shape([{"a": 1, "b": "y"}])
    assert _shape([{"a": 1}]) != _shape([{"a": "1"}])
    assert _shape([{"a": 1}]) != _shape([{"a": 1, "b": 2}])
    assert _shape({"a": True}) != _shape({"a": 1})
