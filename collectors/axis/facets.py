"""The table of what is asked of an Axis device, how often, and with which account."""

from __future__ import annotations

from typing import Any

from agent.errors import CollectError, Forbidden, NotSupported, Reason
from agent.ports import Facet
from collectors.axis import client as axis
from collectors.axis import parse, parse_snmp, parse_storage
from collectors.axis.client import AxisClient
from collectors.axis.facets_health import DISCOVERY_FACETS, HEALTH_FACETS
from collectors.axis.parse_devices import Met, met

MINUTE, OFTEN, HOURLY = 60.0, 300.0, 3600.0


def _met(client: AxisClient, payload: dict[str, Any] | str) -> Met:
    client.known.meet(payload)
    return Met(payload=payload, calls_told=client.known.calls_decide)


async def _identity(client: AxisClient) -> Met:
    try:
        return _met(client, await client.json_api(axis.BASIC_DEVICE_INFO, "getAllUnrestrictedProperties", account=""))
    except Forbidden as error:
        raise NotSupported(f"not without an account: {error.detail}") from error


async def _identity_account(client: AxisClient) -> Met:
    try:
        return _met(client, await client.json_api(axis.BASIC_DEVICE_INFO, "getAllProperties"))
    except NotSupported:
        return _met(client, await client.param(*axis.IDENTITY_GROUPS))


async def _readiness(client: AxisClient) -> parse.Timed:
    return client.timed(await client.open_api(axis.SYSTEM_READY, "systemready"))


async def _temperatures(client: AxisClient) -> str:
    return await client.text(axis.TEMPERATURES)


async def _temperature_limits(client: AxisClient) -> str:
    return await client.param("root.TemperatureControl")


async def _storage(client: AxisClient) -> bytes:
    return await client.xml(axis.DISKS)


async def _storage_config(client: AxisClient) -> str:
    return await client.param("root.Storage", "root.Properties.LocalStorage")


async def _storage_health(client: AxisClient) -> bytes:
    try:
        return await client.xml(axis.DISK_HEALTH)
    except CollectError as error:
        # An error document is how a product without health data answers (documented, seen in no recording).
        if error.reason is Reason.HTTP_STATUS:
            raise NotSupported(error.detail) from error
        raise


async def _firmware(client: AxisClient) -> dict[str, Any]:
    return await client.json_api(axis.FIRMWARE, "status", account=client.service_account)


async def _snmp_system(client: AxisClient) -> parse.Timed:
    return client.timed(await client.snmp.get(parse_snmp.SYSTEM))


async def _snmp_health(client: AxisClient) -> object:
    return await client.snmp.walk(parse_snmp.VIDEO_MIB)


FACETS = (
    Facet(
        name="readiness",
        source="http",
        every=MINUTE,
        fetch=_readiness,
        parse=parse.readiness,
        what="whether it has started, needs setup; uptime and boot id",
        endpoint="POST systemready.cgi systemready",
        since="10.12; uptime and boot id from 11.11",
        account="",
    ),
    Facet(
        name="identity",
        source="http",
        every=HOURLY,
        fetch=_identity,
        parse=met,
        what="model, serial number, firmware",
        endpoint="POST basicdeviceinfo.cgi getAllUnrestrictedProperties",
        since="later than 8.45",
        account="",
        decides_use=True,
    ),
    Facet(
        name="identity_account",
        source="http",
        every=HOURLY,
        fetch=_identity_account,
        parse=met,
        what="the same with an account: AXIS OS 8.40 and 8.45; before that from the parameters",
        endpoint="POST basicdeviceinfo.cgi getAllProperties, else GET param.cgi?action=list&group=root.Brand,root.Properties.Firmware,root.Properties.System",
        since="8.40; its parameters 5.0",
        fallback_for="identity",
        decides_use=True,
    ),
    *DISCOVERY_FACETS,
    Facet(
        name="temperatures",
        source="http",
        every=OFTEN,
        fetch=_temperatures,
        parse=parse.temperatures,
        what="temperatures, fans, heaters",
        endpoint="GET temperaturecontrol.cgi?action=statusall",
        since="10.12, and older ones that do not list it",
    ),
    Facet(
        name="temperature_limits",
        source="http",
        every=HOURLY,
        fetch=_temperature_limits,
        parse=parse.temperature_limits,
        what="the device's own limits of its temperatures",
        endpoint="GET param.cgi?action=list&group=root.TemperatureControl",
    ),
    Facet(
        name="storage",
        source="http",
        every=OFTEN,
        fetch=_storage,
        parse=parse_storage.disks,
        what="state, size and free space of SD card and network share",
        endpoint="GET disks/list.cgi?diskid=all",
        since="5.40",
    ),
    Facet(
        name="storage_config",
        source="http",
        every=HOURLY,
        fetch=_storage_config,
        parse=parse_storage.storage_config,
        what="whether a person set the storage up",
        endpoint="GET param.cgi?action=list&group=root.Storage,root.Properties.LocalStorage",
    ),
    Facet(
        name="storage_health",
        source="http",
        every=OFTEN,
        fetch=_storage_health,
        parse=parse_storage.disk_health,
        what="wear, own check and temperature of the storage media",
        endpoint="GET disks/gethealth.cgi",
        since="7.20; temperature and own check from 9.50",
    ),
    Facet(
        name="firmware",
        source="http",
        every=HOURLY,
        fetch=_firmware,
        parse=parse.firmware_status,
        what="what started it last, whether an upgrade is committed",
        endpoint="POST firmwaremanagement.cgi status",
        since="9.80",
        account="service",
    ),
    *HEALTH_FACETS,
    Facet(
        name="snmp_system",
        source="snmp",
        every=OFTEN,
        fetch=_snmp_system,
        parse=parse_snmp.system,
        what="model, firmware, MAC address, uptime of the SNMP agent",
        endpoint="GET sysDescr.0 sysUpTime.0 sysName.0 ifPhysAddress.2",
        account="snmp",
    ),
    Facet(
        name="snmp_health",
        source="snmp",
        every=OFTEN,
        fetch=_snmp_health,
        parse=parse_snmp.video_mib,
        what="power supplies, fans, temperatures, storage, casing, video and audio signals",
        endpoint="WALK AXIS-VIDEO-MIB 1.3.6.1.4.1.368.4.1",
        account="snmp",
    ),
)
