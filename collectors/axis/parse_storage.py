"""What an Axis device says of its storage over HTTP. Pure; every parser raises BadPayload and nothing else, as in `parse`."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, ParseError
from xml.etree.ElementTree import fromstring as plain_fromstring

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from agent.errors import BadPayload
from agent.model import Component, Reading
from agent.model.reading import UNKNOWN
from agent.ports import FacetData
from collectors.axis.parse import celsius, flag, number, parameters, word

KELVIN = 273.15
XML_LIMIT = 64 * 1024
XML_TAGS = 2000
"""Both far beyond a list of disks: a document of more would hold the loop while it is parsed."""
_STORAGE = re.compile(r"^Storage\.(S\d{1,4})\.(\w{1,32})$")
_STORAGE_WORDS = {
    "ok": "ok",
    "connected": "connected",
    "disconnected": "disconnected",
    "failed": "failed",
    "no passphrase": "locked_out",
    "wrong passphrase": "locked_out",
    "not encrypted": "locked_out",
}
_PART_STATES = {"ok": "ok", "failed": "failed", "connected": "off", "disconnected": "off"}


def xml(body: bytes) -> Element:
    """The root of an XML answer; entities and external references are refused. Raises BadPayload."""
    if len(body) > XML_LIMIT or body.count(b"<") > XML_TAGS:
        raise BadPayload(f"XML of more than {XML_LIMIT} bytes or {XML_TAGS} tags")
    try:
        root: Element = plain_fromstring(body) if _declares_nothing(body) else ElementTree.fromstring(body)  # noqa: S314 - see there
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise BadPayload(f"not XML: {type(error).__name__}") from None
    return root


_ASCII = re.compile(
    rb"""\s*(?:<\?xml\s+version\s*=\s*["']1\.0["'](?:\s+encoding\s*=\s*["'](?:utf-8|us-ascii|iso-8859-1)["'])?\s*\?>)?\s*<[A-Za-z]""", re.IGNORECASE
)


def _declares_nothing(body: bytes) -> bool:
    """Whether it can have no document type, and so no entities, for Python's own parser, which is ten times as fast as the one that looks for them.

    In an encoding in which markup is ASCII, a document type begins with these two bytes; so do comments, which devices do not send either.
    """
    return b"<!" not in body and b"\0" not in body and _ASCII.match(body) is not None


def xml_error(root: Element) -> str:
    """The device's words when the answer is an error in a 200 (`GeneralError`, or a result that is not OK); '' when it is none."""
    for element in root.iter():
        if _tag(element) == "generalerror":
            said = {_tag(child): word(child.text) for child in element.iter()}
            return f"error {said.get('errorcode') or '?'}: {said.get('errordescription') or 'no description'}"
        if word(element.get("result")).lower() == "error":
            return word(element.get("cause")) or word(element.text) or "result ERROR"
    return ""


def _tag(element: Element) -> str:
    return str(element.tag).rpartition("}")[2].lower()


def disks(body: bytes) -> FacetData:
    """disks/list.cgi?diskid=all. Sizes are sent in kB.

    Seen in recordings: an empty slot and a share nobody set up are `disconnected` with size 0, so that word alone says nothing is broken.
    """
    root = xml(body)
    found = [element for element in root.iter() if _tag(element) == "disk"]
    if not found and not any(_tag(element) == "disks" for element in root.iter()):
        raise BadPayload("disks/list: neither a disk nor a list of disks")
    readings: list[Reading] = []
    components: dict[str, Component] = {}
    facts: dict[str, str] = {}
    for disk in found:
        key, raw = word(disk.get("diskid"), 64), word(disk.get("status"))
        if not key or key in components:
            continue
        state = _STORAGE_WORDS.get(raw.lower(), UNKNOWN)
        components[key] = Component(kind="storage", key=key, name=word(disk.get("name")) or key, state=_PART_STATES.get(state, UNKNOWN), raw=raw)
        readings.append(Reading(metric="latarnik_axis_storage_status", state=state, labels=(key,), component=key, raw=raw))
        if state in ("ok", "failed"):
            readings.append(Reading(metric="latarnik_device_storage_ok", value=float(state == "ok"), labels=(key,), component=key, raw=raw))
        size, free = number(disk.get("totalsize")), number(disk.get("freesize"))
        if size is not None and size > 0:
            readings.append(Reading(metric="latarnik_device_storage_size_bytes", value=size * 1024, labels=(key,), component=key))
            if free is not None and 0 <= free <= size:
                readings.append(Reading(metric="latarnik_device_storage_free_bytes", value=free * 1024, labels=(key,), component=key))
        encrypted = flag(disk.get("encryptionenabled", disk.get("diskencryptionenabled")))
        if encrypted is not None:
            facts[f"storage.{key}.encrypted"] = "yes" if encrypted else "no"
    return FacetData(readings=tuple(readings), components=tuple(components.values()), facts=facts)


def disk_health(body: bytes) -> FacetData:
    """disks/gethealth.cgi (documented only): wear in % of life, may pass 100; temperature in kelvin; negative numbers mean not known."""
    found = [element for element in xml(body).iter() if _tag(element) == "healthstatus"]
    if not found:
        raise BadPayload("disks/gethealth: no HealthStatus")
    readings: list[Reading] = []
    for disk in found:
        key = word(disk.get("diskid"), 64)
        wear, healthy, kelvin = number(disk.get("wear")), number(disk.get("overallhealth")), number(disk.get("temperature"))
        if not key:
            continue
        if wear is not None and 0 <= wear <= 10_000:
            readings.append(Reading(metric="latarnik_axis_storage_wear_ratio", value=wear / 100, labels=(key,), component=key, raw=word(disk.get("wear"))))
        if healthy in (0, 1):
            readings.append(Reading(metric="latarnik_axis_storage_self_check_ok", value=healthy, labels=(key,), component=key))
        warm = celsius(kelvin - KELVIN) if kelvin is not None else None
        if warm is not None:
            readings.append(
                Reading(metric="latarnik_device_temperature_celsius", value=warm, labels=(key,), component=key, raw=f"{word(disk.get('temperature'))} K")
            )
    return FacetData(readings=tuple(readings))


def storage_config(text: str) -> FacetData:
    """param.cgi group Storage: what a person did to each slot.

    `Enabled=yes` and `MountOnBoot=yes` stand in the recordings of devices without any storage: they are the factory's, and no sign of a person.
    Signs of one: a share that names where it is (`NetworkShare:` with something behind it; inferred from the empty form that was seen),
    a name given to the medium, a file system asked for, `Enabled=no`.
    """
    slots: dict[str, dict[str, str]] = {}
    for key, value in parameters(text).items():
        found = _STORAGE.match(key)
        if found:
            slots.setdefault(found.group(1), {})[found.group(2)] = value
    facts: dict[str, str] = {}
    for slot in slots.values():
        disk = word(slot.get("DiskID"), 64)
        if not disk:
            continue
        node = word(slot.get("DeviceNode"))
        share = node.startswith("NetworkShare:") and bool(node.removeprefix("NetworkShare:").strip())
        wanted = word(slot.get("RequiredFileSystem")).lower() not in ("", "none")
        facts[f"storage.{disk}.set_up"] = "yes" if share or wanted or word(slot.get("FriendlyName")) else "no"
        facts[f"storage.{disk}.enabled"] = "no" if flag(slot.get("Enabled")) is False else "yes"
    return FacetData(facts=facts)
