"""What an Axis device says of its power and its clock. Pure; every parser raises BadPayload and nothing else."""

from __future__ import annotations

from agent.errors import BadPayload
from agent.model import Reading
from agent.ports import FacetData
from collectors.axis.lenient import data_of, first, objects, squeezed
from collectors.axis.parse import flag, number, word

CLASSES = range(9)
MOST_WATTS = 1000.0
LONGEST_OFFSET = 1e10
"""Seconds; beyond 300 years a number is no offset."""


def power(payload: object) -> FacetData:
    """power-settings.cgi getPowerStatus. -1 is unknown: the recorded camera knew none of the PoE figures.

    `maxPower` is the most that was ever seen, no limit (recorded). What `powerState` means was never seen; it stands in `raw`.
    That `powerRequested` is in watts is unverified.
    """
    data = data_of(payload, "power-settings")
    usage = data.get("usage")
    told = usage if isinstance(usage, dict) else {}
    names = ("psePoeClass", "lldpPoeClass", "powerRequested", "powerState")
    if not told and not any(name in data for name in names):
        raise BadPayload("power-settings: the answer holds neither usage nor a PoE class")
    readings = []
    for name, kind in (("currentPower", "current"), ("averagePower", "average"), ("maxPower", "max")):
        watts = number(told.get(name))
        if watts is not None and 0 <= watts <= MOST_WATTS:
            readings.append(Reading(metric="latarnik_axis_power_watts", value=watts, labels=(kind,), raw=word(told.get(name))))
    for name, source in (("psePoeClass", "pse"), ("lldpPoeClass", "lldp")):
        found = number(data.get(name))
        if found in CLASSES:
            readings.append(Reading(metric="latarnik_axis_poe_class", value=found, labels=(source,), raw=word(data.get(name))))
    asked = number(data.get("powerRequested"))
    if asked is not None and 0 < asked <= MOST_WATTS:
        state = word(data.get("powerState"), 32)
        readings.append(Reading(metric="latarnik_axis_power_requested_watts", value=asked, raw=f"powerState={state}"))
    return FacetData(readings=tuple(readings))


def clock(payload: object) -> FacetData:
    """ntp.cgi getNTPInfo (seen on 12.11), or network-time-sync of the configuration interface (its shape unverified): `synced` and `timeOffset` in seconds.

    Of a client that is switched off nothing is said but that.
    """
    client = next((told for _, told in objects(payload) if "synced" in told), None)
    if client is None:
        raise BadPayload("ntp: the answer says nowhere whether the clock is synchronised")
    enabled, synced = flag(client.get("enabled")), flag(client.get("synced"))
    if enabled is False:
        return FacetData(facts={"ntp.enabled": "no"})
    readings = []
    if synced is not None:
        readings.append(Reading(metric="latarnik_axis_ntp_synced", value=float(synced), raw=word(client.get("synced")) or str(synced).lower()))
    offset = number(client.get("timeoffset"))
    if offset is not None and abs(offset) <= LONGEST_OFFSET:
        readings.append(Reading(metric="latarnik_device_clock_offset_seconds", value=offset, raw=word(client.get("timeoffset"))))
    facts = {"ntp.enabled": "yes"} if enabled else {}
    named, advertised = _server(first(client, "staticservers", "servers")), _server(client.get("advertisedservers"))
    source = squeezed(client.get("serverssource"))
    server = advertised if source == "dhcp" else named if source == "static" else named or advertised
    if server:
        facts["ntp.server"] = server
    return FacetData(readings=tuple(readings), facts=facts)


_NOBODY = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - what devices without a server name in its place


def _server(found: object) -> str:
    """The first server of a list."""
    return next((name for item in found[:8] if (name := word(item, 64)) not in _NOBODY), "") if isinstance(found, list) else ""
