"""What an Axis device says of what it offers, its lights, ports, siren, SIP accounts and calls. Pure; every parser raises BadPayload and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agent.errors import BadPayload
from agent.model import Component, Identity, Reading
from agent.ports import FacetData
from collectors.axis.events import STATE
from collectors.axis.lenient import ITEMS, data_of, fields, first, listed, named_list, objects, said
from collectors.axis.parse import axis_mac, flag, identity_account, word

MOST_APIS = 500

# --- what it offers ---------------------------------------------------------------------------------------------------


def api_ids(payload: object) -> frozenset[str]:
    """The ids of apidiscovery.cgi getApiList. Raises BadPayload for an answer that lists none: a device with discovery has discovery itself."""
    found = data_of(payload, "apidiscovery").get("apiList")
    ids = frozenset(word(api.get("id"), 64) for api in found[:MOST_APIS] if isinstance(api, dict)) - {""} if isinstance(found, list) else frozenset()
    if not ids:
        raise BadPayload("apidiscovery: the answer lists no interface")
    return ids


def apis(payload: object) -> FacetData:
    """apidiscovery.cgi getApiList (seen from 9.80 to 12.9). What is listed is asked for from then on; there is nothing to measure."""
    api_ids(payload)
    return FacetData()


REST_PATH = re.compile(r"/config/rest/[a-z0-9-]{1,40}/v[0-9]{1,3}(?:alpha|beta)?")


def rest_paths(payload: object) -> dict[str, str]:
    """Name → path of the newest version of each interface in /config/discover (seen on 11.11 and 12.9). The stage is part of the path."""
    found = payload.get("apis") if isinstance(payload, dict) else None
    if not isinstance(found, dict):
        raise BadPayload("config/discover: the answer lists no interface")
    paths: dict[str, str] = {}
    for name, versions in list(found.items())[:MOST_APIS]:
        rows = versions.items() if isinstance(versions, dict) else ()
        for _, row in sorted(((str(version), row) for version, row in rows), key=lambda pair: pair[0]):
            path = word(row.get("rest_api")) if isinstance(row, dict) else ""
            if REST_PATH.fullmatch(path) and path.startswith(f"/config/rest/{name}/"):
                paths[str(name)] = path
    return paths


def rest(payload: object) -> FacetData:
    """What `rest_paths` reads; there is nothing to measure."""
    rest_paths(payload)
    return FacetData()


# --- who it is, when it does not say ------------------------------------------------------------------------------------

_REALM = re.compile(r"AXIS_([0-9A-F]{12})")


def realm(realms: Iterable[str]) -> FacetData:
    """The realm of a 401, `AXIS_<MAC address>` (seen on 12.11), which is the serial number."""
    for name in realms:
        found = _REALM.fullmatch(name)
        if found:
            return FacetData(identity=Identity(vendor="AXIS", serial=found[1], mac=axis_mac(found[1])))
    raise BadPayload("the realm of the 401 names no serial number")


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """An answer that says who the device is. `calls_told`: its call service says whether a call runs."""

    payload: Any
    calls_told: bool = False


def met(raw: Met) -> FacetData:
    """As `parse.identity_account`. A device that may be in a call is free as far as its identity goes only if its calls are known: they decide then."""
    data = identity_account(raw.payload)
    return replace(data, in_use=False) if raw.calls_told and data.in_use is None else data


# --- lights, ports, siren -----------------------------------------------------------------------------------------------


def lights(payload: object) -> FacetData:
    """lightcontrol.cgi getLightInformation (seen): `error` is a fault of the LEDs, in the words of `errorInfo`."""
    readings: list[Reading] = []
    components: dict[str, Component] = {}
    for light in listed(data_of(payload, "light control"), "items", "light control"):
        ident, broken = word(light.get("lightID"), 32), flag(light.get("error"))
        key = f"light {ident}"
        if not ident or broken is None or key in components:
            continue
        kind, info = word(light.get("lightType"), 32), word(light.get("errorInfo"))
        name = f"{kind} light {ident}".strip()
        components[key] = Component(kind="light", key=key, name=name, state="failed" if broken else "ok", raw=info)
        readings.append(
            Reading(metric="latarnik_axis_light_ok", value=float(not broken), labels=(ident,), component=key, raw=info or f"error={broken}".lower())
        )
    return FacetData(readings=tuple(readings), components=tuple(components.values()))


def ports(payload: object) -> FacetData:
    """io/portmanagement.cgi getPorts (seen). A port is active when it is not in its normal state.

    `tampered` of a supervised port is unverified; the fact is the one that the event stream tells of it.
    """
    readings: list[Reading] = []
    facts: dict[str, str] = {}
    seen: set[str] = set()
    for port in listed(data_of(payload, "port management"), "items", "port management"):
        ident = word(port.get("port"), 32)
        if not ident or ident in seen:
            continue
        seen.add(ident)
        state, normal = word(port.get("state")).lower(), word(port.get("normalState")).lower()
        if {state, normal} <= {"open", "closed"}:
            readings.append(Reading(metric="latarnik_axis_port_active", value=float(state != normal), labels=(ident,), raw=state))
        tampered = flag(port.get("tampered")) if flag(port.get("supervised")) else None
        if tampered is not None:
            facts[f"{STATE}io_tampered.{ident}"] = "yes" if tampered else "no"
            readings.append(
                Reading(metric="latarnik_axis_event_active", value=float(tampered), labels=("io_tampered", ident), raw=f"tampered={tampered}".lower())
            )
    return FacetData(readings=tuple(readings), facts=facts)


SELF_TESTED = "siren and light"
_PASSED = frozenset({"ok", "passed", "pass", "success", "succeeded", "healthy"})
_FAILED = frozenset({"failed", "fail", "failure", "lightfailed", "broken"})


def siren(payload: object) -> FacetData:
    """siren_and_light.cgi, the last self test. Method and shape are unverified: taken is every word of a test's result, wherever it stands.

    One part that failed is a failure; parts of which nothing is known are no success.
    """
    results = [
        known
        for _, told in objects(data_of(payload, "siren and light"))
        if (known := said(first(told, "result", "healthcheckresult", "lastresult"), _PASSED, _FAILED)) is not None
    ]
    if not results:
        raise BadPayload("siren and light: the answer names no result of a test that we know")
    good = all(results)
    return FacetData(
        readings=(
            Reading(metric="latarnik_axis_self_test_ok", value=float(good), labels=(SELF_TESTED,), component=SELF_TESTED, raw="passed" if good else "failed"),
        )
    )


def siren_maintenance(payload: object) -> FacetData:
    """Maintenance mode of siren-and-light in the configuration interface (seen on 12.9 as not supported)."""
    told = fields(data_of(payload, "siren and light"))
    running, supported = flag(told.get("running")), flag(told.get("supported"))
    if running is None:
        raise BadPayload("siren and light: the answer does not say whether the maintenance mode runs")
    if supported is False:
        return FacetData()
    return FacetData(readings=(Reading(metric="latarnik_axis_siren_maintenance", value=float(running), raw=f"running={running}".lower()),))


# --- intercom -----------------------------------------------------------------------------------------------------------

_REGISTERED = frozenset({"registered", "ok", "success", "200"})
_NOT_REGISTERED = frozenset(
    {"notregistered", "unregistered", "registrationfailed", "failed", "failure", "error", "timeout", "rejected", "forbidden", "unauthorized"}
)
_TALKING = frozenset(
    {
        "connected",
        "active",
        "established",
        "calling",
        "ringing",
        "incoming",
        "outgoing",
        "connecting",
        "proceeding",
        "early",
        "held",
        "onhold",
        "talking",
        "incall",
        "ongoing",
    }
)
_SILENT = frozenset({"idle", "terminated", "terminating", "ended", "finished", "disconnected", "none", "inactive", "nocall"})


def sip(payload: object) -> FacetData:
    """The SIP accounts of the call service; requests and answers are unverified. An account that is switched off says nothing."""
    found = named_list(payload, "sipaccountstatus", "sipaccountstatuslist", "accountstatus", "sipaccounts", "accounts")
    if found is None:
        raise BadPayload("call service: the answer holds no state of an account")
    readings: dict[str, Reading] = {}
    for number, item in enumerate(found[:ITEMS]):
        told = fields(item) if isinstance(item, dict) else {"status": item}
        account = word(first(told, "id", "sipaccountid", "accountid", "name", "userid"), 64) or f"account {number}"
        raw = word(first(told, "status", "state", "registrationstatus", "registrationstate"), 64)
        good = said(raw, _REGISTERED, _NOT_REGISTERED)
        if good is None or flag(told.get("enabled")) is False:
            continue
        readings.setdefault(account, Reading(metric="latarnik_axis_sip_registered", value=float(good), labels=(account,), component=account, raw=raw))
    return FacetData(readings=tuple(readings.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """What the call service answered; None where it has nothing to answer. `only_calls`: without a call nothing else can keep the device busy."""

    payload: Any
    only_calls: bool


def call(raw: Calls) -> FacetData:
    """Whether a call runs; requests and answers are unverified. A word that is not known makes it unknown.

    A speaker without a call may be playing an announcement, so that only an intercom is free for want of a call.
    """
    running = _running(raw.payload)
    if running is None:
        return FacetData()
    return FacetData(
        readings=(Reading(metric="latarnik_call_active", value=float(running)),),
        in_use=True if running else False if raw.only_calls else None,
    )


def calls_told(payload: object) -> bool:
    """Whether the answer says, in words that are known, whether a call runs."""
    return _running(payload) is not None


def _running(payload: object) -> bool | None:
    found = named_list(payload, "callstatus", "callstatuslist", "calls", "calllist", "callstate")
    if found is None:
        return None
    states = [_state(item) for item in found]
    if True in states:
        return True
    return None if None in states else False


def _state(item: object) -> bool | None:
    told: Mapping[str, Any] = fields(item) if isinstance(item, dict) else {"state": item}
    return said(first(told, "state", "callstate", "status", "callstatus"), _TALKING, _SILENT)
