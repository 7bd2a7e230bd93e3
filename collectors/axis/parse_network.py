"""What an Axis device says of its network, its MQTT client and its certificates. Pure; every parser raises BadPayload and nothing else."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from cryptography import x509

from agent.errors import BadPayload
from agent.model import Reading
from agent.ports import FacetData
from collectors.axis.lenient import ITEMS, data_of, first, listed, moment, objects, said
from collectors.axis.parse import flag, number, word

_SPEED = re.compile(r"(?<![0-9.])(10|100|1000|2500|5000|10000|1|2\.5|5)(?![0-9.])\s?-?(g?)", re.IGNORECASE)
_SPEEDS = frozenset({10.0, 100.0, 1000.0, 2500.0, 5000.0, 10000.0})
_HALF = re.compile(r"half|\bHD\b", re.IGNORECASE)
_FULL = re.compile(r"full|\bFD\b", re.IGNORECASE)


def network(payload: object) -> FacetData:
    """network_settings.cgi getNetworkInfo. Seen (10.12): devices with name, macAddress, link, wired.linkMode; the form of the last two is taken as it comes.

    A mode that names no speed, or several, says nothing.
    """
    devices = data_of(payload, "network settings").get("devices")
    if not isinstance(devices, list):
        raise BadPayload("network settings: the answer has no list of devices")
    readings: list[Reading] = []
    names: set[str] = set()
    for device in listed({"devices": devices}, "devices", "network settings"):
        name = word(device.get("name"), 32)
        if not name or name in names:
            continue
        names.add(name)
        link = _link(device.get("link"))
        if link is not None:
            readings.append(
                Reading(metric="latarnik_device_network_link_up", value=float(link), labels=(name,), component=name, raw=word(device.get("link")) or str(link))
            )
        wired = device.get("wired")
        if link is False or not isinstance(wired, dict):
            continue
        mode = _mode(wired.get("linkMode"))
        megabits = _megabits(mode)
        if megabits is not None:
            speed = megabits * 1e6 / 8
            readings.append(Reading(metric="latarnik_device_network_speed_bytes_per_second", value=speed, labels=(name,), component=name, raw=mode))
        half, full = bool(_HALF.search(mode)), bool(_FULL.search(mode))
        if half != full:
            readings.append(Reading(metric="latarnik_axis_network_full_duplex", value=float(full), labels=(name,), component=name, raw=mode))
    return FacetData(readings=tuple(readings))


def _link(value: object) -> bool | None:
    known = flag(value)
    return known if known is not None else said(value, {"up", "connected"}, {"down", "disconnected"})


def _mode(value: object) -> str:
    """The mode in use, in the device's words; of an object the part that names what is, not what was set."""
    if isinstance(value, dict):
        told = {name.lower(): part for name, part in value.items() if isinstance(name, str)}
        value = first(told, "current", "active", "actual", "negotiated")
    return word(value, 64)


def _megabits(mode: str) -> float | None:
    """The one speed that a mode names: `100baseT_full`, `1000 Mbit/s`, `2.5G`, `1 Gbps`."""
    found = set()
    for text, giga in _SPEED.findall(mode):
        value = float(text) * (1000 if giga else 1)
        if value in _SPEEDS:
            found.add(value)
    return found.pop() if len(found) == 1 else None


CONNECTED = frozenset({"connected"})
NOT_CONNECTED = frozenset({"notconnected", "disconnected", "connecting", "reconnecting", "failed", "error"})


def mqtt(payload: object) -> FacetData:
    """mqtt/client.cgi getClientStatus. The case of the words varies; a client that is not active is not expected to be connected."""
    data = data_of(payload, "mqtt client")
    status = data.get("status")
    if not isinstance(status, dict):
        raise BadPayload("mqtt client: the answer has no status")
    active = said(status.get("state"), {"active"}, {"inactive"})
    connected = said(status.get("connectionStatus"), CONNECTED, NOT_CONNECTED)
    if not active or connected is None:
        return FacetData(facts={"mqtt.active": "no"} if active is False else {})
    reading = Reading(metric="latarnik_axis_mqtt_connected", value=float(connected), raw=word(status.get("connectionStatus")))
    facts = {"mqtt.active": "yes"}
    config = data.get("config")
    server = config.get("server") if isinstance(config, dict) else None
    host = word(server.get("host"), 64) if isinstance(server, dict) else ""
    if host:
        facts["mqtt.server"] = host
    return FacetData(readings=(reading,), facts=facts)


# --- certificates -----------------------------------------------------------------------------------------------------

SHOWN = "https"
"""The name of the certificate that our own connection was shown."""
_ENDS = ("validto", "notafter", "notvalidafter", "validuntil", "expires", "expiry", "expirydate", "expirationdate", "validityend")
_NAMES = ("alias", "id", "name", "certificateid", "commonname")
_TRUSTED = frozenset({"cacertificates", "cacertificate", "cacerts", "cas", "ca", "trustedcertificates", "truststore"})
_PEM = "-----BEGIN CERTIFICATE-----"
_PEM_LIMIT = 32 * 1024


def shown_certificate(der: bytes) -> FacetData:
    """The certificate our TLS connection was shown: when it ends, and which it is. Raises BadPayload for one that cannot be read."""
    try:
        ends = x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp()
    except (ValueError, TypeError):
        raise BadPayload("the certificate that the device shows cannot be read") from None
    reading = Reading(metric="latarnik_axis_certificate_expiry_timestamp_seconds", value=ends, labels=(SHOWN,), component=SHOWN)
    return FacetData(readings=(reading,), facts={f"certificate.{SHOWN}": hashlib.sha256(der).hexdigest()})


def certificates(payload: object) -> FacetData:
    """The interface cert v1 of the configuration interface; its shape was never seen. Taken is every object that holds a certificate or says when one ends.

    Authorities that the device trusts are left out: they come with the firmware, and some of them ended long ago.
    """
    readings: dict[str, Reading] = {}
    for _, told in objects(payload, without=_TRUSTED):
        ends = moment(first(told, *_ENDS))
        if ends is None:
            ends = _ends_of_pem(told)
        name = word(first(told, *_NAMES), 64)
        if ends is None or not name or name == SHOWN or len(readings) >= ITEMS:
            continue
        readings.setdefault(
            name, Reading(metric="latarnik_axis_certificate_expiry_timestamp_seconds", value=ends, labels=(name,), component=name, raw=f"{ends:.0f}")
        )
    if not readings and not any(name in told for _, told in objects(payload) for name in ("certificates", "cacertificates")):
        raise BadPayload("cert: nothing in the answer is a certificate")
    return FacetData(readings=tuple(readings.values()))


def _ends_of_pem(told: Mapping[str, Any]) -> float | None:
    for value in told.values():
        if isinstance(value, str) and len(value) <= _PEM_LIMIT and value.lstrip().startswith(_PEM):
            try:
                return number(x509.load_pem_x509_certificate(value.encode()).not_valid_after_utc.timestamp())
            except (ValueError, TypeError):
                return None
    return None
