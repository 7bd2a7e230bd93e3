"""How what stands in `facets_health` is asked of a device.

What is marked unverified there was never seen of a real device: where it is refused, or answered in a shape that is not known, the device counts as
not having it, and is asked again a day later.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from agent.errors import BadPayload, Busy, CollectError, NotSupported, Reason
from agent.ports import FacetData
from collectors.axis import client as axis
from collectors.axis import parse_devices
from collectors.axis.client import AxisClient

T = TypeVar("T")


def unverified(fetch: Callable[[AxisClient], Awaitable[T]], parse: Callable[[T], FacetData]) -> Callable[[AxisClient], Awaitable[T]]:
    """The same fetch, whose refusals and unknown shapes are those of a device that lacks it."""

    async def fetched(client: AxisClient) -> T:
        try:
            raw = await fetch(client)
            parse(raw)
        except BadPayload as error:
            raise NotSupported(error.detail) from error
        except CollectError as error:
            if error.reason is Reason.HTTP_STATUS:
                raise NotSupported(error.detail) from error
            raise
        return raw

    return fetched


def json_read(path: str, method: str) -> Callable[[AxisClient], Awaitable[dict[str, Any]]]:
    async def fetched(client: AxisClient) -> dict[str, Any]:
        return await client.json_api(path, method)

    return fetched


async def apis(client: AxisClient) -> dict[str, Any]:
    known = client.known
    try:
        told = await client.json_api(axis.API_DISCOVERY, "getApiList")
    except NotSupported:
        known.apis = None
        raise
    known.apis = parse_devices.api_ids(told)
    return told


async def rest(client: AxisClient) -> dict[str, Any]:
    told = await client.rest(axis.DISCOVER)
    client.known.rest = parse_devices.rest_paths(told)
    return told


def _path(client: AxisClient, interface: str) -> str:
    path = client.known.rest.get(interface)
    if path is None:
        raise NotSupported(f"{axis.DISCOVER} does not list {interface}")
    return path


async def realm(client: AxisClient) -> list[str]:
    return await client.realms(axis.parameters_path(axis.IDENTITY_GROUPS))


async def streams(client: AxisClient) -> dict[str, Any]:
    return await client.json_api(axis.STREAMS, "getAllStreams", account=client.service_account)


async def applications(client: AxisClient) -> bytes:
    return await client.xml(axis.APPLICATIONS, account=client.service_account)


async def image_health(client: AxisClient) -> dict[str, Any] | None:
    """None while the application is stopped, which its server answers with 503."""
    try:
        return await client.rest(axis.IMAGE_HEALTH)
    except Busy:
        return None


async def clock_config(client: AxisClient) -> dict[str, Any]:
    return await client.rest(_path(client, "network-time-sync"))


async def siren_maintenance(client: AxisClient) -> dict[str, Any]:
    return await client.rest(f"{_path(client, 'siren-and-light')}/maintenanceMode")


async def certificates(client: AxisClient) -> dict[str, Any]:
    return await client.rest(_path(client, "cert"), account=client.service_account)


async def certificate(client: AxisClient) -> bytes:
    return await client.shown_certificate()


async def sip(client: AxisClient) -> dict[str, Any]:
    return await client.call_service("GetSIPAccountStatus")


async def call(client: AxisClient) -> parse_devices.Calls:
    """While its identity relies on it, its silence is not that of a device that has no calls."""
    known = client.known
    try:
        payload = await client.call_service("GetCallStatus")
    except CollectError as error:
        if error.reason not in (Reason.NOT_SUPPORTED, Reason.HTTP_STATUS):
            raise
        known.calls_told = False
        if known.calls_decide:
            raise CollectError(Reason.HTTP_STATUS, f"it told of calls before: {error.detail}") from error
        raise NotSupported(error.detail) from error
    known.calls_told = parse_devices.calls_told(payload)
    return parse_devices.Calls(payload=payload, only_calls=known.intercom)
