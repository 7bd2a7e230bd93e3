"""Finding vendors, desks and observers: values named `PLUGIN`, picked up; nothing registers itself.

Built-in ones are the sub-packages of `collectors`, `exporters.tickets` and `exporters`; foreign ones come by the entry point groups
`latarnik.collectors` and `latarnik.tickets`.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from agent.catalogue import COMMON_FAULTS, DEVICE_METRICS, READING_METRICS
from agent.errors import PluginError
from agent.model import FaultSpec, MetricSpec
from agent.ports import CollectorPlugin, DeskPlugin, ObserverPlugin

T = TypeVar("T", CollectorPlugin, DeskPlugin, ObserverPlugin)

SHARED_ROOMS = frozenset({"collectors.transport"})
"""Sub-packages that are no vendor."""


def _value(module: ModuleType, kind: type[T]) -> T:
    found = getattr(module, "PLUGIN", None)
    if not isinstance(found, kind):
        what = "has no PLUGIN" if found is None else f"has a PLUGIN that is a {type(found).__name__}"
        raise PluginError(f"{module.__name__} {what}; its __init__.py must hold PLUGIN = {kind.__name__}(...), see docs/adding-a-vendor.md")
    return found


def _scan(package: str, group: str, kind: type[T]) -> dict[str, T]:
    root = importlib.import_module(package)
    found: dict[str, T] = {}
    for path in root.__path__:
        for entry in Path(path).iterdir():
            if entry.is_dir() and entry.name != "__pycache__" and not (entry / "__init__.py").exists():
                raise PluginError(f"{package.replace('.', '/')}/{entry.name} has no __init__.py with a PLUGIN; see docs/adding-a-vendor.md")
    modules = [f"{package}.{m.name}" for m in pkgutil.iter_modules(root.__path__) if m.ispkg]
    candidates = [(name, importlib.import_module(name)) for name in sorted(modules) if name not in SHARED_ROOMS]
    plugins = [(name, _value(module, kind)) for name, module in candidates]
    for point in entry_points(group=group):
        loaded = point.load()
        if not isinstance(loaded, kind):
            raise PluginError(f"entry point {point.name} of group {group} is a {type(loaded).__name__}, not a {kind.__name__}")
        plugins.append((point.value, loaded))
    for origin, plugin in plugins:
        if plugin.name in found:
            raise PluginError(f"{origin}: the name {plugin.name!r} is taken by another plugin")
        found[plugin.name] = plugin
    return found


def collectors() -> dict[str, CollectorPlugin]:
    """All vendors by name. A folder of `collectors` without a PLUGIN is a PluginError."""
    found = _scan("collectors", "latarnik.collectors", CollectorPlugin)
    for plugin in found.values():
        _check(plugin)
    return found


def desks() -> dict[str, DeskPlugin]:
    """All kinds of ticket desks by name."""
    return _scan("exporters.tickets", "latarnik.tickets", DeskPlugin)


def observer(module: str) -> ObserverPlugin:
    """One observer, by the name of its module."""
    return _value(importlib.import_module(module), ObserverPlugin)


def _check(plugin: CollectorPlugin) -> None:
    names = [facet.name for facet in plugin.facets]
    for name in {n for n in names if names.count(n) > 1}:
        raise PluginError(f"{plugin.name}: two facets are called {name!r}")
    for facet in plugin.facets:
        if facet.fallback_for and facet.fallback_for not in names:
            raise PluginError(f"{plugin.name}: facet {facet.name!r} is a fallback for {facet.fallback_for!r}, which does not exist")


def metrics(vendors: dict[str, CollectorPlugin]) -> tuple[MetricSpec, ...]:
    """The whole catalogue of device metrics. A name that two declare differently is a PluginError."""
    catalogue: dict[str, MetricSpec] = {spec.name: spec for spec in (*DEVICE_METRICS, *READING_METRICS)}
    for plugin in vendors.values():
        for spec in plugin.metrics:
            if catalogue.setdefault(spec.name, spec) != spec:
                raise PluginError(f"{plugin.name}: metric {spec.name} is already declared, and differently")
    return tuple(catalogue.values())


def faults(vendors: dict[str, CollectorPlugin]) -> tuple[FaultSpec, ...]:
    """All fault codes. A code that two declare differently is a PluginError."""
    catalogue: dict[str, FaultSpec] = {spec.code: spec for spec in COMMON_FAULTS}
    for plugin in vendors.values():
        for spec in plugin.faults:
            if catalogue.setdefault(spec.code, spec) != spec:
                raise PluginError(f"{plugin.name}: fault {spec.code} is already declared, and differently")
    return tuple(catalogue.values())
