"""The rows of the table beside storage, heat and firmware; and what a device must offer to be asked for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from agent.ports import Facet
from collectors.axis import client as axis
from collectors.axis import fetch_health as fetch
from collectors.axis import parse_apps, parse_devices, parse_network, parse_power
from collectors.axis.client import AxisClient

MINUTE, OFTEN, HOURLY = 60.0, 300.0, 3600.0

DISCOVERY_FACETS = (
    Facet(
        name="apis",
        source="http",
        every=HOURLY,
        fetch=fetch.apis,
        parse=parse_devices.apis,
        what="which interfaces it has: what it does not list is not asked for",
        endpoint="POST apidiscovery.cgi getApiList",
        since="8.50",
    ),
    Facet(
        name="rest",
        source="http",
        every=HOURLY,
        fetch=fetch.rest,
        parse=parse_devices.rest,
        what="which interfaces it has for configuration",
        endpoint="GET /config/discover",
        since="11.11",
    ),
)
"""They are asked before what they decide about."""

HEALTH_FACETS = (
    Facet(
        name="identity_realm",
        source="http",
        every=HOURLY,
        fetch=fetch.realm,
        parse=parse_devices.realm,
        what="serial number from its demand for an account, where none is configured",
        endpoint="401 of GET param.cgi?action=list&group=root.Brand,root.Properties.Firmware,root.Properties.System",
        account="",
        fallback_for="identity",
    ),
    Facet(
        name="call",
        source="http",
        every=MINUTE,
        fetch=fetch.call,
        parse=parse_devices.call,
        what="whether a call runs; intercoms and speakers (unverified)",
        endpoint="POST /vapix/call GetCallStatus",
        since="10.12",
        decides_use=True,
    ),
    Facet(
        name="sip",
        source="http",
        every=OFTEN,
        fetch=fetch.unverified(fetch.sip, parse_devices.sip),
        parse=parse_devices.sip,
        what="registration of the SIP accounts; intercoms and speakers (unverified)",
        endpoint="POST /vapix/call GetSIPAccountStatus",
        since="10.12",
    ),
    Facet(
        name="power",
        source="http",
        every=OFTEN,
        fetch=fetch.json_read(axis.POWER, "getPowerStatus"),
        parse=parse_power.power,
        what="power used and asked for, PoE class",
        endpoint="POST power-settings.cgi getPowerStatus",
        since="12.9, some products",
    ),
    Facet(
        name="clock",
        source="http",
        every=OFTEN,
        fetch=fetch.json_read(axis.NTP, "getNTPInfo"),
        parse=parse_power.clock,
        what="whether the clock is synchronised, and how far it is off",
        endpoint="POST ntp.cgi getNTPInfo",
        since="9.80",
    ),
    Facet(
        name="clock_config",
        source="http",
        every=OFTEN,
        fetch=fetch.unverified(fetch.clock_config, parse_power.clock),
        parse=parse_power.clock,
        what="the same where ntp.cgi is gone (unverified)",
        endpoint="GET /config/rest/network-time-sync",
        since="12.9",
    ),
    Facet(
        name="lights",
        source="http",
        every=OFTEN,
        fetch=fetch.json_read(axis.LIGHTS, "getLightInformation"),
        parse=parse_devices.lights,
        what="faults of infrared and white light",
        endpoint="POST lightcontrol.cgi getLightInformation",
        since="9.80",
    ),
    Facet(
        name="ports",
        source="http",
        every=OFTEN,
        fetch=fetch.json_read(axis.PORTS, "getPorts"),
        parse=parse_devices.ports,
        what="state of inputs and outputs",
        endpoint="POST io/portmanagement.cgi getPorts",
        since="9.80",
    ),
    Facet(
        name="siren",
        source="http",
        every=OFTEN,
        fetch=fetch.unverified(fetch.json_read(axis.SIREN, "getHealthCheckStatus"), parse_devices.siren),
        parse=parse_devices.siren,
        what="last self test of siren and light (unverified)",
        endpoint="POST siren_and_light.cgi getHealthCheckStatus",
        since="12.9, with a siren",
    ),
    Facet(
        name="siren_maintenance",
        source="http",
        every=HOURLY,
        fetch=fetch.unverified(fetch.siren_maintenance, parse_devices.siren_maintenance),
        parse=parse_devices.siren_maintenance,
        what="whether the siren is in maintenance mode",
        endpoint="GET /config/rest/siren-and-light/.../maintenanceMode",
        since="12.9, with a siren",
    ),
    Facet(
        name="mqtt",
        source="http",
        every=OFTEN,
        fetch=fetch.json_read(axis.MQTT, "getClientStatus"),
        parse=parse_network.mqtt,
        what="whether the MQTT client reaches its broker",
        endpoint="POST mqtt/client.cgi getClientStatus",
        since="9.80",
    ),
    Facet(
        name="network",
        source="http",
        every=HOURLY,
        fetch=fetch.json_read(axis.NETWORK, "getNetworkInfo"),
        parse=parse_network.network,
        what="link, speed and duplex",
        endpoint="POST network_settings.cgi getNetworkInfo",
        since="9.80",
    ),
    Facet(
        name="streams",
        source="http",
        every=OFTEN,
        fetch=fetch.unverified(fetch.streams, parse_apps.streams),
        parse=parse_apps.streams,
        what="who takes the picture; RTSP streams alone (answer unverified)",
        endpoint="POST streamstatus.cgi getAllStreams",
        since="11.11",
        account="service",
    ),
    Facet(
        name="image_health",
        source="http",
        every=OFTEN,
        fetch=fetch.unverified(fetch.image_health, parse_apps.image_health),
        parse=parse_apps.image_health,
        what="blocked, blurred, redirected or under-exposed picture; where the application is installed (answer unverified)",
        endpoint="GET /local/AXISImageHealthAnalytics/v1/status",
        since="12.11, with the application",
    ),
    Facet(
        name="applications",
        source="http",
        every=HOURLY,
        fetch=fetch.applications,
        parse=parse_apps.applications,
        what="applications: state, version, end of the licence",
        endpoint="GET applications/list.cgi",
        since="5.40",
        account="service",
    ),
    Facet(
        name="certificate",
        source="http",
        every=HOURLY,
        fetch=fetch.certificate,
        parse=parse_network.shown_certificate,
        what="the certificate that it shows: its end, and whether it is another one",
        endpoint="TLS of GET /",
        account="",
    ),
    Facet(
        name="certificates",
        source="http",
        every=HOURLY,
        fetch=fetch.unverified(fetch.certificates, parse_network.certificates),
        parse=parse_network.certificates,
        what="end of each certificate that it holds (unverified)",
        endpoint="GET /config/rest/cert",
        since="11.11",
        account="service",
    ),
)

NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "rest": ("device-config",),
    "call": ("sip",),
    "sip": ("sip",),
    "power": ("power-settings",),
    "clock": ("ntp",),
    "lights": ("light-control",),
    "ports": ("io-port-management",),
    "siren": ("siren-and-light",),
    "mqtt": ("mqtt-client",),
    "network": ("network-settings",),
    "streams": ("streamstatus",),
}
"""The ids of API discovery of which a device must list one to be asked for this facet. One without discovery is asked, and says that it has no such thing."""

NEEDS_REST: Final[Mapping[str, str]] = {"clock_config": "network-time-sync", "siren_maintenance": "siren-and-light", "certificates": "cert"}
"""The interface for configuration that a device must list to be asked for this facet."""

OF_SPEAKING: Final = frozenset({"call", "sip"})
"""Cameras list SIP too, and are asked for none of it."""


_CONDITIONAL: Final = frozenset({*NEEDS, *NEEDS_REST, "identity_realm", "certificate"})


def offered(facet: str, client: AxisClient) -> bool:
    """Whether what is known of the device allows this facet."""
    if facet not in _CONDITIONAL:
        return True
    known, device = client.known, client.device
    if facet == "call" and known.calls_decide:
        return True
    if facet in OF_SPEAKING and not known.speaks:
        return False
    if facet == "identity_realm" and device.http_credential() is not None:
        return False
    if facet == "certificate" and device.scheme != "https":
        return False
    if facet == "clock_config" and known.apis is not None and "ntp" in known.apis:
        return False
    interface = NEEDS_REST.get(facet)
    if interface is not None and interface not in known.rest:
        return False
    needs = NEEDS.get(facet)
    return needs is None or known.has(*needs)
