"""What single sections cannot tell: names that lead nowhere, things that do not fit each other."""

from __future__ import annotations

import difflib
import fnmatch
import re
import zoneinfo
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path as FilePath
from typing import Any

import holidays
from pydantic import BaseModel

from config.check import Report, nearest
from config.document import Path, follow
from config.plans import Plan
from config.secrets import SecretError, read_secret_file
from config.settings import ContractSettings, CredentialSettings, DeskSettings, DeviceSettings, FaultOverride, RouteSettings, Traps

PATTERN = re.compile(r"[A-Za-z0-9_.*-]{1,128}")
_SECRET_FILE = re.compile(r".*(?:password|token|secret|key)_file")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The sections that are well-formed; what is broken was reported and is not here, but its name is still known from the document."""

    credentials: Mapping[str, CredentialSettings]
    contracts: Mapping[str, ContractSettings]
    plans: Mapping[str, Plan]
    desks: Mapping[str, DeskSettings]
    devices: Sequence[tuple[Path, DeviceSettings]]
    routes: Sequence[tuple[Path, RouteSettings]]
    faults: Mapping[str, FaultOverride]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the file is checked against: the installed plugins, the machine, the day. `base` is the folder of the file."""

    vendors: frozenset[str]
    fault_codes: Collection[str]
    environ: Mapping[str, str]
    base: FilePath
    today: date


def check(parts: Parts, report: Report, around: Surroundings) -> None:
    """Report all of it."""
    _time_zones(parts, report)
    for name, contract in parts.contracts.items():
        _contract(name, contract, parts, report, around.today)
    _devices(parts, report)
    for path, device in parts.devices:
        _device(path, device, parts, report)
    for name, desk in parts.desks.items():
        _files(desk.settings, ("desks", name), report, around)
    _routes(parts, report, around.vendors)
    for pattern in parts.faults:
        if around.fault_codes and not fnmatch.filter(around.fault_codes, pattern):
            report.warn(("faults", pattern), f"fits no known fault code{nearest(pattern, around.fault_codes)}")


def traps(section: Traps, report: Report) -> None:
    """The address that traps are received on."""
    if section.listen is not None and 0 < section.listen.port < 1024:
        what = "a port under 1024 is not open to the service: leave this out and enable latarnik-traps.socket, or take another one, such as 1162"
        report.warn(("traps", "listen"), what)


def _names(report: Report, collection: str) -> set[str]:
    node = report.root.get(collection)
    return set(node.entries()) if node else set()


def _time_zones(parts: Parts, report: Report) -> None:
    site = report.root.get("site")
    named: list[tuple[Path, str]] = [(("site", "timezone"), site.word("timezone"))] if site else []
    named += ((("plans", name, "hours", "timezone"), plan.hours.timezone) for name, plan in parts.plans.items())
    for path, zone in dict(named).items():
        if zone and not _is_zone(zone):
            close = difflib.get_close_matches(zone, zoneinfo.available_timezones(), n=1)
            report.error(path, "is no known time zone: write its IANA name, such as " + (close[0] if close else "Europe/Warsaw"))
    countries = holidays.list_supported_countries()
    for name, plan in parts.plans.items():
        if plan.hours.holidays and plan.hours.holidays not in countries:
            report.error(("plans", name, "hours", "holidays"), "is no country whose holidays are known: write its two letters, such as PL")
        if plan.hours.opens >= plan.hours.closes:
            report.error(("plans", name, "hours"), "closes before it opens")


def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return False
    return True


def _contract(name: str, contract: ContractSettings, parts: Parts, report: Report, today: date) -> None:
    path: Path = ("contracts", name)
    plan = parts.plans.get(contract.plan)
    if plan is None:
        known = _names(report, "plans") | set(parts.plans)
        if contract.plan not in known:
            report.error((*path, "plan"), f"no service plan has this name{nearest(contract.plan, known)}")
        return
    starts, ends, bought = contract.starts, contract.ends, contract.purchased
    if starts and ends and ends < starts:
        report.error((*path, "ends"), f"ends on {ends}, before it starts on {starts}")
        return
    if ends and ends < today:
        report.warn((*path, "ends"), f"ended on {ends}: cases of its devices are not sent to the vendor")
    if starts and ends and plan.max_years and ends >= _years_later(starts, plan.max_years):
        report.warn((*path, "ends"), f"lasts longer than {contract.plan} can: {plan.max_years} years at most")
    if plan.bought_within_days is not None and bought and starts and starts > bought + timedelta(days=plan.bought_within_days):
        report.warn((*path, "starts"), f"{contract.plan} can only be bought within {plan.bought_within_days} days of the purchase, which was on {bought}")
    for word, value, key in (("contract_number", contract.number, "number"), ("purchase_date", bought, "purchased")):
        if word in plan.requires and not value:
            report.warn((*path, key), f"is missing: {contract.plan} takes no report without it, so cases of its devices wait")


def _years_later(day: date, years: int) -> date:
    """The same day some years on (29 February: 1 March)."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1) if day.year + years <= date.max.year else date.max


def _devices(parts: Parts, report: Report) -> None:
    """Ids are unique, parents exist and lead somewhere, addresses are not given twice."""
    first: dict[str, Path] = {}
    addresses: dict[tuple[str, int | None, str], str] = {}
    for path, device in parts.devices:
        if device.id in first:
            report.error((*path, "id"), f"{device.id} is taken by the device at {report.place((*first[device.id], 'id'))}")
            continue
        first[device.id] = path
        address = (device.host, device.port, device.scheme)
        if device.host and address in addresses:
            report.warn((*path, "host"), f"is also the address of {addresses[address]}: each would be polled for both")
        addresses.setdefault(address, device.id)
    written = report.root.get("devices")
    known = {entry.word("id") for entry in written.items()} if written else set()
    by_id = {device.id: device for _, device in parts.devices}
    for path, device in parts.devices:
        if device.parent and device.parent not in known:
            report.error((*path, "parent"), f"no device has this id{nearest(device.parent, known)}")
        elif device.parent and _loops(device, by_id):
            report.error((*path, "parent"), "leads back to this device: one of them must have no parent")
        elif not device.host:
            _part(path, device, by_id.get(device.parent), report)


def _loops(device: DeviceSettings, by_id: Mapping[str, DeviceSettings]) -> bool:
    seen = {device.id}
    above = by_id.get(device.parent)
    while above is not None:
        if above.id in seen:
            return above.id == device.id
        seen.add(above.id)
        above = by_id.get(above.parent)
    return False


def _part(path: Path, device: DeviceSettings, parent: DeviceSettings | None, report: Report) -> None:
    """An entry without an address of its own."""
    if not device.parent:
        report.error((*path, "host"), "is missing: the device's address, or the parent it hangs on")
    elif parent is not None and parent.vendor != device.vendor:
        report.error((*path, "vendor"), f"a part without host is read through its parent, and {parent.id} is of vendor {parent.vendor}")
    elif not device.serial and not device.model:
        report.warn(path, "has neither host nor serial nor model: nothing tells it from other parts of its parent")


def _device(path: Path, device: DeviceSettings, parts: Parts, report: Report) -> None:
    names = _names(report, "credentials")
    at = (*path, "credentials")
    written = follow(report.root, at)
    for role, name in device.credentials.named():
        place = (*at, role) if isinstance(written.value, dict) else at
        credential = parts.credentials.get(name)
        if name not in names:
            report.error(place, f"no credential is named {name}{nearest(name, names)}")
        elif credential is not None and (credential.snmp is not None) != (role == "snmp"):
            report.error(place, f"{name} is SNMP access: name it as {{snmp: {name}}}" if credential.snmp else f"{name} is no SNMP access")
    if device.host and not device.parent and not any(device.credentials.named()):
        report.warn(path, "has no credentials: only what it tells everybody can be read")
    if device.contract and device.contract not in (contracts := _names(report, "contracts")):
        report.error((*path, "contract"), f"no contract is named {device.contract}{nearest(device.contract, contracts)}")
    _tls(path, device, report)
    contract = parts.contracts.get(device.contract)
    plan = parts.plans.get(contract.plan) if contract else None
    if contract is None or plan is None:
        return
    if plan.vendor and plan.vendor != device.vendor:
        report.warn((*path, "contract"), f"{device.contract} is a contract of plan {contract.plan}, which is for {plan.vendor} devices")
    elif device.model and plan.covers(device.model) is False:
        report.warn((*path, "contract"), f"{contract.plan} is not sold for {device.model}, only for {', '.join(plan.models)}: ask before relying on it")


def _is_name(host: str) -> bool:
    return ":" not in host and re.fullmatch(r"[0-9.]+", host) is None


def _tls(path: Path, device: DeviceSettings, report: Report) -> None:
    tls, at = device.tls, (*path, "tls")
    if tls.mode == "pin" and not tls.sha256:
        report.error((*at, "mode"), "pin needs sha256: the SHA-256 fingerprint of the device's certificate")
    if tls.sha256 and tls.mode != "pin":
        report.error((*at, "sha256"), f"only counts with mode pin, and the mode is {tls.mode}")
    if tls.ca_file and tls.mode != "ca":
        report.error((*at, "ca_file"), f"only counts with mode ca, and the mode is {tls.mode}")
    if tls.ca_file and not tls.ca_file.is_file():
        report.error((*at, "ca_file"), "no such file; a relative path starts at the folder of the config file")
    if tls.legacy:
        report.warn((*at, "legacy"), "old TLS is accepted: whoever sits in between may read and change what is said to this device; update it if you can")
    if device.ssh_legacy:
        report.warn((*path, "ssh_legacy"), "old SSH algorithms are accepted: whoever sits in between may read what is said there; update it if you can")
    if device.source_address and device.host and (":" in device.source_address) != (":" in device.host) and not _is_name(device.host):
        report.error((*path, "source_address"), f"cannot reach {device.host}: one is an IPv4 address, the other an IPv6 address")
    if device.allow_basic_over_http and device.scheme == "https":
        report.warn((*path, "allow_basic_over_http"), "has no effect: the scheme is https")


def _files(section: BaseModel | None, path: Path, report: Report, around: Surroundings) -> None:
    """Secret files and variables that a desk's own keys name (by habit: `token_file`, `password_env`)."""
    for key, value in _settings(section):
        if _SECRET_FILE.fullmatch(key) and value:
            try:
                read_secret_file(around.base / str(value))
            except SecretError as error:
                report.error((*path, key), str(error))
        elif key.endswith("_env") and value and not around.environ.get(str(value)):
            report.error((*path, key), "this environment variable is not set")


def _settings(section: BaseModel | None) -> Iterable[tuple[str, Any]]:
    return iter(section) if section is not None else ()


def _routes(parts: Parts, report: Report, vendors: Collection[str]) -> None:
    desks, contracts = _names(report, "desks"), _names(report, "contracts")
    plans = set(parts.plans) | _names(report, "plans")
    site = report.root.get("site")
    sites = ({site.word("name")} if site else set()) | {device.site for _, device in parts.devices if device.site}
    tags = {tag for _, device in parts.devices for tag in device.tags}
    final: Path | None = None
    for path, route in parts.routes:
        if final is not None:
            report.warn(path, f"is never reached: the route at {report.place(final)} takes everything")
        for desk in route.to:
            if desk not in desks:
                report.error((*path, "to"), f"no desk is named {desk}{nearest(desk, desks)}")
        match = route.match
        for key, values, known in (("plan", match.plan, plans), ("contract", match.contract, contracts), ("vendor", match.vendor, set(vendors))):
            for value in values:
                if value not in known:
                    report.error((*path, "match", key), f"no {key} is named {value}{nearest(value, known)}")
        for key, values, known in (("site", match.site, sites), ("tag", match.tag, tags)):
            for value in values:
                if value not in known:
                    report.warn((*path, "match", key), f"no device has the {key} {value}{nearest(value, known)}")
        if not any((match.plan, match.contract, match.vendor, match.site, match.tag)):
            final = final or path
    if parts.routes and final is None:
        report.warn(("routes",), "cases that fit no route go to every internal desk; end the list with {to: [...]} to decide it yourself")
