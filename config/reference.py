"""The reference of all config keys, written from the settings types: `docs/config.md`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from config.plans import Plan, catalogue_document
from config.settings import Settings
from config.values import format_duration, format_size

INTRO = """# Configuration

<!-- Written by `config.reference.render`; `make generated` writes it anew. -->

One YAML file, by default `/etc/latarnik/latarnik.yaml`. `latarnik check-config FILE` reads it as the daemon does, with all secrets, and says everything
that is wrong at once, each line as `file:line: key: what is wrong and what would be right`. The daemon starts only with a file without errors;
on a reload (`systemctl reload latarnik`) a file with errors changes nothing and the running configuration stays.

The least that works:

```yaml
site: {name: krakow-hq, timezone: Europe/Warsaw}
credentials:
  cameras: {username: operator, password_file: cameras.password}
devices:
  - {id: gate-2, vendor: axis, host: 192.0.2.7, credentials: cameras}
```

## How values are written

- An unknown key is an error, with the nearest known one named. A key given twice is an error. A key without a value counts as not given.
- A key that wants text takes what is written: `room: 3.10` is the room "3.10", `serial: 0012345` keeps its zeros, `username: no` is "no". Quotes are only
  needed where YAML needs them (a leading `@`, a `: ` or ` #` inside).
- Numbers are decimal. True and false are `true` and `false`.
- Durations carry their unit: `250ms`, `30s`, `5m`, `1h30m`, `2d`. Sizes too: `500KiB`, `64MiB`, `5GiB`. Days are `2026-01-31`.
- Relative paths start at the folder of the config file.
- Anchors, aliases and `<<` may be used to say something once.

## Secrets

No secret stands in the file. Each comes from exactly one source: a file of its own (`password_file`), an environment variable (`password_env`), or,
where neither is given, the systemd credential that has the credential's name (`LoadCredential=rooms:/path`; for SNMP version 3 `NAME.auth` and `NAME.priv`).
A secret file holds the secret alone on one line and may not be open to every user: `chmod 600`, or 640 with the agent's group.

## An inventory in a table

`{file: devices.csv}` in the list of devices takes them from a CSV file with the same names in its first row; keys inside keys are written with a dot
(`credentials.http`, `tls.mode`, `axis.KEY`), tags are separated by spaces, an empty cell is a key that is not given, a row that starts with `#` is left out.
Comma, semicolon or tab; UTF-8 or Windows-1250, so that what Excel saves can be read. Errors name the row and the column: `devices.csv:7: port: ...`.
"""

_HEADINGS = (
    ("site", "The site"),
    ("credentials", "Accounts"),
    ("contracts", "Contracts"),
    ("devices", "Devices"),
    ("desks", "Ticket desks"),
    ("routes", "Routes"),
    ("polling", "Polling"),
    ("traps", "SNMP traps"),
    ("faults", "Faults"),
    ("evidence", "Evidence"),
    ("history", "History"),
    ("plans", "Service plans"),
)


def render(vendors: Mapping[str, type[BaseModel]] | None = None, desks: Mapping[str, type[BaseModel]] | None = None) -> str:
    """The whole page, Markdown, with the sections of these vendors and desk types."""
    schema = Settings.model_json_schema(by_alias=True)
    parts = [INTRO, "## All keys\n", "At the top of the file:\n", _table(schema, schema)]
    for key, heading in _HEADINGS:
        parts += [f"### {heading}: `{key}`\n", *_section(schema, schema["properties"][key], key)]
        if key == "plans":
            parts.append(_plans())
    for name, model in sorted((vendors or {}).items()):
        parts += [
            f"### Vendor section: `{name}`\n",
            "At the top of the file for all its devices, and in a device's entry, which overrides it key by key.\n",
            *_foreign(model),
        ]
    for name, model in sorted((desks or {}).items()):
        parts += [f"### Desk type: `{name}`\n", *_foreign(model)]
    return "\n".join(parts).rstrip("\n") + "\n"


def _section(schema: Mapping[str, Any], key: Mapping[str, Any], path: str) -> Iterator[str]:
    """The table of a section and of those inside it."""
    inner, shape = _inner(schema, key)
    names = "patterns of fault codes" if path == "faults" else "names of your own"
    wording = {"dict": f"`{path}` maps {names} to entries with these keys.\n", "list": f"`{path}` is a list of entries with these keys.\n", "": ""}[shape]
    if wording:
        yield wording
    if inner is None:
        return
    yield _table(schema, inner)
    for name, deeper in inner["properties"].items():
        section, kind = _inner(schema, deeper)
        if section is not None:
            yield f"#### `{path}` … `{name}`\n"
            yield from _section(schema, deeper, f"{name}") if kind else iter([_table(schema, section)])


def _foreign(model: type[BaseModel]) -> Iterator[str]:
    if model.__doc__:
        yield inspect.cleandoc(model.__doc__) + "\n"
    schema = model.model_json_schema(by_alias=True)
    yield _table(schema, schema)


def _table(schema: Mapping[str, Any], section: Mapping[str, Any]) -> str:
    required = set(section.get("required", ()))
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for name, key in section.get("properties", {}).items():
        default = "**required**" if name in required else _default(key)
        rows.append(f"| `{name}` | {_kind(schema, key)} | {default} | {_cell(key.get('description', ''))} |")
    return "\n".join(rows) + "\n"


def _resolve(schema: Mapping[str, Any], key: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = key.get("$ref", "")
    return schema["$defs"][reference.rpartition("/")[2]] if reference else key


def _inner(schema: Mapping[str, Any], key: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, str]:
    """The section inside this key, and whether it is wrapped in a 'dict' or a 'list'."""
    for option in (key, *key.get("anyOf", ())):
        found = _resolve(schema, option)
        if "properties" in found:
            return found, ""
        for shape, wrapped in (
            ("dict", found.get("additionalProperties")),
            ("list", found.get("items")),
            ("dict", next(iter(found.get("patternProperties", {}).values()), None)),
        ):
            if isinstance(wrapped, dict) and "properties" in (inner := _resolve(schema, wrapped)):
                return inner, shape
    return None, ""


def _kind(schema: Mapping[str, Any], key: Mapping[str, Any]) -> str:
    """The value's kind in words."""
    options = [option for option in key.get("anyOf", (key,)) if option.get("type") != "null"]
    return " or ".join(dict.fromkeys(_one_kind(schema, option, key) for option in options))


def _one_kind(schema: Mapping[str, Any], option: Mapping[str, Any], key: Mapping[str, Any]) -> str:
    found = _resolve(schema, option)
    if "enum" in found or "const" in found:
        return ", ".join(f"`{value}`" for value in found.get("enum", [found.get("const")]) if value != "")
    if "properties" in found:
        return "mapping"
    match found.get("type"):
        case "string":
            title = found.get("title", key.get("title", ""))
            return title if (title and title[:1].islower()) or title in {"SHA-256", "host:port"} else "text"
        case "integer":
            return "whole number"
        case "number":
            return "number"
        case "boolean":
            return "true or false"
        case "array":
            return "names" if found.get("title") == "names" else "list"
    return "mapping"


def _default(key: Mapping[str, Any]) -> str:
    value = key.get("default")
    titles = {key.get("title"), *(option.get("title") for option in key.get("anyOf", ()))}
    if value in (None, "", [], {}) or isinstance(value, list):
        return ""
    if isinstance(value, dict):
        return f"`{value['host']}:{value['port']}`" if set(value) == {"host", "port"} else ""
    if "duration" in titles:
        return f"`{format_duration(value)}`"
    if "size" in titles:
        return f"`{format_size(value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _plans() -> str:
    rows = ["The catalogue:\n", "| plan | for | reports | targets | a report must hold | what is our reading |", "|---|---|---|---|---|---|"]
    for name, node in catalogue_document().entries().items():
        plan = Plan.model_validate(_plain(node))
        targets = "; ".join(
            f"{target} {'about ' if goal.approximate else ''}{goal.within} {goal.unit.replace('_', ' ')}{'s' if goal.within > 1 else ''} after {goal.after}"
            for target, goal in plan.targets.items()
        )
        readings = " ".join([*(f"{target}: {goal.inferred}." for target, goal in plan.targets.items() if goal.inferred), plan.note])
        devices = ", ".join(plan.models) or plan.vendor
        hours = "24x7" if plan.hours.always else "8x5"
        rows.append(f"| `{name}` ({plan.name.en}) | {devices} | {hours} | {targets} | {', '.join(plan.requires).replace('_', ' ')} | {_cell(readings)} |")
    return "\n".join(rows) + "\n"


def _plain(node: Any) -> Any:
    if isinstance(node.value, dict):
        return {key: _plain(inner) for key, inner in node.value.items()}
    return [_plain(inner) for inner in node.value] if isinstance(node.value, list) else node.value
