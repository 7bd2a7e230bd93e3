"""The config file as `Settings`, or everything that is wrong with it at once."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path as FilePath
from typing import Any, TypeVar

from pydantic import BaseModel

from config import crosscheck
from config.check import Report, checked, nearest, section_at
from config.credentials import read_secrets
from config.document import MAX_BYTES, BadDocument, Node, Path, read
from config.errors import ConfigError, Problem
from config.plans import Plan, catalogue_document
from config.settings import ContractSettings, CredentialSettings, DeskSettings, DeviceSettings, FaultOverride, RouteSettings, Settings, keys_of
from config.table import read_table
from config.values import NAME

_ELSEWHERE = frozenset({"credentials", "contracts", "plans", "desks", "faults", "devices", "routes"})

Item = TypeVar("Item", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinds:
    """What a section may be: the types the agent's plugins bring."""

    vendors: Mapping[str, type[BaseModel]]
    desks: Mapping[str, type[BaseModel]]


def load(
    path: FilePath,
    *,
    vendors: Mapping[str, type[BaseModel]],
    desks: Mapping[str, type[BaseModel]],
    fault_codes: Collection[str] = (),
    environ: Mapping[str, str] = os.environ,
    today: date | None = None,
) -> Settings:
    """Settings of this file.

    `vendors` and `desks` are the types of their own sections, by name. `fault_codes`, when given, are those a pattern under `faults` may hit.
    `today` is for warnings of contracts that ended. Relative paths start at the folder of the file.
    Raises ConfigError with everything that is wrong; what is only doubtful is in `Settings.warnings`.
    """
    root, report = _document(path)
    kinds = Kinds(vendors=vendors, desks=desks)
    base = path.absolute().parent
    context = {"base": base}
    _include_tables(root, report, path.parent, kinds)
    settings = _top(root, report, context, kinds, environ)
    credentials = _collection(root, "credentials", CredentialSettings, report, context)
    contracts = _collection(root, "contracts", ContractSettings, report, context)
    plans = _plans(root, report, context)
    desk_entries = _desks(root, report, context, kinds)
    routes = _list(root, "routes", RouteSettings, report, context)
    faults = _collection(root, "faults", FaultOverride, report, context)
    shared = _vendor_sections(root, report, context, kinds)
    devices = _devices(root, report, context, kinds, shared)
    read_secrets(credentials, report, environ)
    crosscheck.check(
        crosscheck.Parts(credentials=credentials, contracts=contracts, plans=plans, desks=desk_entries, devices=devices, routes=routes, faults=faults),
        report,
        crosscheck.Surroundings(vendors=frozenset(vendors), fault_codes=fault_codes, environ=environ, base=base, today=today or datetime.now(UTC).date()),
    )
    if settings is not None:
        crosscheck.traps(settings.traps, report)
    if report.errors or settings is None:
        raise ConfigError(_in_order(report.errors, path))
    whole = settings.model_copy(
        update={
            "credentials": credentials,
            "contracts": contracts,
            "plans": plans,
            "desks": desk_entries,
            "faults": faults,
            "devices": tuple(device for _, device in devices),
            "routes": tuple(route for _, route in routes),
        }
    )
    whole._file = path.absolute()  # noqa: SLF001 - the properties of settings are filled here and nowhere else
    whole._vendors = {name: section for name, section in shared.items() if section is not None}  # noqa: SLF001 - as above
    whole._warnings = tuple(_in_order(report.warnings, path))  # noqa: SLF001 - as above
    return whole


def _in_order(problems: Iterable[Problem], path: FilePath) -> list[Problem]:
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.file != str(path), problem.file, problem.line))


def _bytes(path: FilePath) -> bytes:
    """The content of this file, one byte more than is allowed at most. Raises BadDocument."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise BadDocument(0, "no such file") from None
    except (OSError, ValueError) as error:
        raise BadDocument(0, f"cannot be read: {error.strerror if isinstance(error, OSError) and error.strerror else 'not a usable path'}") from None


def _document(path: FilePath) -> tuple[Node, Report]:
    try:
        root, flaws = read(_bytes(path), str(path))
    except BadDocument as bad:
        raise ConfigError([Problem(file=str(path), line=bad.line, what=bad.what)]) from None
    if not isinstance(root.value, dict):
        what = "is empty: at least site and devices belong there" if root.value is None else "must be a mapping of keys to values, such as site: {name: ...}"
        raise ConfigError([Problem(file=str(path), line=root.line, what=what)])
    report = Report(root)
    for place, line, what in flaws:
        problem = report.problem(place, what)
        report.errors.append(Problem(file=problem.file, line=line, key=problem.key, what=what))
    return root, report


def _include_tables(root: Node, report: Report, base: FilePath, kinds: Kinds) -> None:
    """Put the rows of `{file: devices.csv}` in the place of that entry."""
    devices = root.get("devices")
    if devices is None:
        return
    if isinstance(devices.value, dict) and "file" in devices.value:
        devices.value = [Node(devices.value, devices.file, devices.line)]
    if not isinstance(devices.value, list):
        return
    entries: list[Node] = []
    for position, entry in enumerate(devices.value):
        if not isinstance(entry.value, dict) or "file" not in entry.value:
            entries.append(entry)
            continue
        place: Path = ("devices", position)
        for key in entry.value:
            if key != "file":
                report.error((*place, key), "may not stand beside file: it belongs into a column of that table")
        name = entry.word("file")
        if not name:
            report.error((*place, "file"), "must name a CSV file")
            continue
        table = base / name
        try:
            rows, problems = read_table(_bytes(table), str(table), _columns(), kinds.vendors)
        except BadDocument as bad:
            if bad.line:
                report.errors.append(Problem(file=str(table), line=bad.line, what=bad.what))
            else:
                report.error((*place, "file"), f"{table}: {bad.what}")
            continue
        report.errors += problems
        entries += rows
    devices.value = entries


def _columns() -> list[str]:
    columns: list[str] = []
    for name in keys_of(DeviceSettings):
        section = section_at(DeviceSettings, (name,))
        columns.append(name)
        if section is not None:
            columns += (f"{name}.{key}" for key in keys_of(section))
    return columns


def _top(root: Node, report: Report, context: Mapping[str, Any], kinds: Kinds, environ: Mapping[str, str]) -> Settings | None:
    """All that is neither a collection nor a vendor's section. Unknown keys at the top are found here."""
    own = Node({key: node for key, node in root.entries().items() if key not in _ELSEWHERE and key not in kinds.vendors}, root.file, root.line)
    own.entries()["devices"] = Node([], root.file, root.line)
    if root.get("devices") is None:
        report.error(("devices",), f"is missing: {Settings.model_fields['devices'].description}")
    settings = checked(Settings, own, (), report, context, also_known=kinds.vendors)
    if settings is None or root.get("state_dir") is not None:
        return settings
    state = environ.get("STATE_DIRECTORY", "").split(":")[0] or "~/.local/state/latarnik"
    try:
        return settings.model_copy(update={"state_dir": FilePath(state).expanduser()})
    except RuntimeError:
        report.error(("state_dir",), "must be given: this user has no home folder")
        return None


def _collection(root: Node, name: str, model: type[Item], report: Report, context: Mapping[str, Any]) -> dict[str, Item]:
    found: dict[str, Item] = {}
    for key, node in _named(root, name, report):
        if (item := checked(model, node, (name, key), report, context)) is not None:
            found[key] = item
    return found


def _named(root: Node, name: str, report: Report) -> Iterable[tuple[str, Node]]:
    """The entries of a collection whose names can be used."""
    node = root.get(name)
    if node is None:
        return
    if not isinstance(node.value, dict):
        report.error((name,), "must be a mapping of names to entries, such as {some-name: {...}}")
        return
    for key, entry in node.value.items():
        if name == "faults":
            if crosscheck.PATTERN.fullmatch(key) is None:
                report.error((name, key), "must be a fault code, or a pattern with *, such as axis.storage.*")
                continue
        elif NAME.fullmatch(key) is None:
            report.error((name, key), "this name cannot be used: letters, digits, dot, dash and underscore, at most 64, a letter or digit first")
            continue
        yield key, entry if entry.value is not None else Node({}, entry.file, entry.line)


def _list(root: Node, name: str, model: type[Item], report: Report, context: Mapping[str, Any]) -> list[tuple[Path, Item]]:
    return [(path, item) for path, node in _entries(root, name, report) if (item := checked(model, node, path, report, context)) is not None]


def _entries(root: Node, name: str, report: Report) -> Iterable[tuple[Path, Node]]:
    node = root.get(name)
    if node is None:
        return
    if not isinstance(node.value, list):
        report.error((name,), "must be a list of entries, each starting with a dash")
        return
    for position, entry in enumerate(node.value):
        yield (name, position), entry


def _plans(root: Node, report: Report, context: Mapping[str, Any]) -> dict[str, Plan]:
    """The catalogue, and over it the site's own, key by key."""
    catalogue = catalogue_document()
    plans: dict[str, Plan] = {}
    overrides = dict(_named(root, "plans", report))
    for name, node in (catalogue.entries() | overrides).items():
        whole = merge(catalogue.entries()[name], node) if name in catalogue.entries() and name in overrides else node
        if (plan := checked(Plan, whole, ("plans", name), report, context)) is not None:
            plans[name] = plan
    return plans


def _desks(root: Node, report: Report, context: Mapping[str, Any], kinds: Kinds) -> dict[str, DeskSettings]:
    desks: dict[str, DeskSettings] = {}
    common = set(keys_of(DeskSettings))
    for name, node in _named(root, "desks", report):
        path: Path = ("desks", name)
        if not isinstance(node.value, dict):
            checked(DeskSettings, node, path, report, context)
            continue
        kind = node.word("type")
        own = kinds.desks.get(kind)
        if kind and own is None:
            report.error((*path, "type"), f"no ticket desk of this type is installed{nearest(kind, kinds.desks)}")
        theirs = Node({key: inner for key, inner in node.value.items() if key not in common}, node.file, node.line)
        ours = Node({key: inner for key, inner in node.value.items() if key in common}, node.file, node.line)
        desk = checked(DeskSettings, ours, path, report, context)
        section = checked(own, theirs, path, report, context, also_known=common) if own else None
        if desk is not None and section is not None:
            desk._settings = section  # noqa: SLF001 - filled here and nowhere else
            desks[name] = desk
    return desks


def merge(under: Node, over: Node) -> Node:
    """One mapping over another, key by key and all the way down; each value keeps its place."""
    if not isinstance(under.value, dict) or not isinstance(over.value, dict):
        return over
    merged = dict(under.value)
    for key, node in over.value.items():
        merged[key] = merge(merged[key], node) if key in merged else node
    return Node(merged, over.file, over.line)


def _vendor_sections(root: Node, report: Report, context: Mapping[str, Any], kinds: Kinds) -> dict[str, BaseModel | None]:
    """For each vendor the section at the top, as its own type; None where only a device's own section can complete it, or it is wrong."""
    found: dict[str, BaseModel | None] = {}
    for name, model in kinds.vendors.items():
        node = root.get(name) or Node({}, root.file, root.line)
        found[name] = checked(model, node, (name,), report, context, partial=True)
    return found


def _devices(root: Node, report: Report, context: Mapping[str, Any], kinds: Kinds, shared: Mapping[str, BaseModel | None]) -> list[tuple[Path, DeviceSettings]]:
    devices: list[tuple[Path, DeviceSettings]] = []
    broken = {problem.key.partition(".")[0] for problem in report.errors}
    for path, node in _entries(root, "devices", report):
        if not isinstance(node.value, dict):
            report.error(path, "must be a mapping, such as {id: gate-2, vendor: axis, host: 192.0.2.7}")
            continue
        vendor = node.word("vendor")
        sections = {key for key in node.value if key in kinds.vendors}
        for other in sorted(sections - {vendor}):
            if vendor in kinds.vendors:
                report.error((*path, other), f"this device's vendor is {vendor}: a section of {other} has no meaning for it")
        if vendor and vendor not in kinds.vendors:
            report.error((*path, "vendor"), f"no collector for this vendor is installed{nearest(vendor, kinds.vendors)}")
        common = Node({key: inner for key, inner in node.value.items() if key not in sections}, node.file, node.line)
        device = checked(DeviceSettings, common, path, report, context, also_known=kinds.vendors)
        settings = shared.get(vendor)
        own = node.get(vendor) if vendor in kinds.vendors else None
        if vendor in kinds.vendors and (own is not None or (settings is None and vendor not in broken)):
            settings = _own_section(root, vendor, kinds.vendors[vendor], own or Node({}, node.file, node.line), (*path, vendor), report, context)
        if device is not None:
            device._settings = settings  # noqa: SLF001 - filled here and nowhere else
            devices.append((path, device))
    return devices


def _own_section(root: Node, vendor: str, model: type[Item], own: Node, path: Path, report: Report, context: Mapping[str, Any]) -> Item | None:
    """The vendor's section with the device's own over it. What is wrong with the shared part was said once, at its own place."""
    top = root.get(vendor)
    whole = merge(top, own) if top is not None else own
    found = Report(report.root)
    section = checked(model, whole, path, found, context)
    if section is None:
        known = {(problem.file, problem.line, problem.what) for problem in report.errors}
        report.errors += (problem for problem in found.errors if (problem.file, problem.line, problem.what) not in known)
    return section
