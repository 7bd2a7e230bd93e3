"""What the JSON interfaces tell about the health of a device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.axis.call import Call
from simulator.axis.state import OFFSET, State


async def network_info(call: Call, _: Mapping[str, Any]) -> dict[str, Any]:
    state = call.state
    mac = ":".join(state.serial[n : n + 2] for n in range(0, 12, 2))
    address = {"address": state.address, "prefixLength": 8, "origin": "DHCP", "scope": "global", "broadcast": "127.255.255.255"}
    ipv4 = {
        "enabled": True,
        "configurationMode": "dhcp",
        "linkLocalMode": "on",
        "addresses": [address],
        "defaultRouter": "192.0.2.1",
        "staticDefaultRouter": "192.168.0.1",
        "staticAddressConfigurations": [{"address": "192.168.0.90", "prefixLength": 24, "broadcast": "192.168.0.255"}],
    }
    mode = "10baseT_half" if "link_degraded" in state.faults else "100baseT_full"
    return {
        "system": {
            "hostname": {"useDhcpHostname": True, "hostname": f"axis-{state.serial.lower()}", "staticHostname": f"axis-{state.serial.lower()}"},
            "resolver": {"useDhcpResolverInfo": True, "nameServers": ["192.0.2.53"], "searchDomains": [], "domainName": "example.org"},
        },
        "devices": [
            {
                "name": "eth0",
                "type": "wired",
                "macAddress": mac,
                "link": True,
                "MTU": 1500,
                "wired": {"linkMode": {"current": mode, "configured": "auto"}, "8021X": {"enabled": False, "status": "Stopped"}},
                "IPv4": ipv4,
                "IPv6": {"enabled": True, "addresses": []},
            }
        ],
    }


def clock_client(state: State) -> dict[str, Any]:
    """The time client. An offset is in seconds."""
    unsynced = "ntp_unsynced" in state.faults
    return {
        "enabled": True,
        "NTSEnabled": False,
        "serversSource": "static",
        "staticServers": ["ntp.example.org"],
        "advertisedServers": [],
        "synced": not unsynced,
        "timeToNextSync": 0 if unsynced else 1024 - int(state.uptime) % 1024,
        "timeOffset": OFFSET if "clock_offset" in state.faults else 0.0004,
        "minpoll": 6,
        "maxpoll": 10,
    }


async def ntp_info(call: Call, _: Mapping[str, Any]) -> dict[str, Any]:
    return {"client": clock_client(call.state)}


async def date_time(call: Call, _: Mapping[str, Any]) -> dict[str, Any]:
    """Field names from documentation, never recorded."""
    now = call.state.now().replace(microsecond=0, tzinfo=None).isoformat()
    return {"dateTime": f"{now}Z", "dstEnabled": True, "localDateTime": now, "posixTimeZone": "UTC0", "timeZone": "UTC"}


async def lights(call: Call, _: Mapping[str, Any]) -> dict[str, Any]:
    failed = "light_error" in call.state.faults
    led = {
        "lightID": "led0",
        "lightType": "IR",
        "enabled": True,
        "synchronizeDayNightMode": True,
        "lightState": False,
        "automaticIntensityMode": True,
        "automaticAngleOfIlluminationMode": False,
        "nrOfLEDs": 2,
        "error": failed,
        "errorInfo": "LED driver failure" if failed else "",
    }
    return {"items": [led]}


async def ports(call: Call, _: Mapping[str, Any]) -> dict[str, Any]:
    """`supervised` and `tampered` are our names; a product without supervision does not have them."""
    state = call.state

    def port(number: int) -> dict[str, Any]:
        told: dict[str, Any] = {
            "port": str(number),
            "configurable": True,
            "usage": "",
            "name": f"Port {number + 1}",
            "direction": "input",
            "state": "open",
            "normalState": "open",
        }
        if state.product.has("supervised-io"):
            told |= {"supervised": number == 0, "tampered": number == 0 and "io_supervision" in state.faults}
        return told

    count = state.product.ports
    return {"numberOfPorts": count, "items": [port(number) for number in range(count)]}


async def power(call: Call, _: Mapping[str, Any]) -> dict[str, Any]:
    """-1 stands for unknown: the recorded camera knew none of the PoE figures. `maxPower` is the most that was seen, not a limit.

    What `powerState` means was never seen: 1 is enough and 0 is not enough, and `powerRequested` is in W, both of our making.
    """
    state, granted = call.state, call.state.product.poe_class
    usage = {"currentPower": 6.1, "averagePower": 5.8, "maxPower": 9.4}
    known = granted >= 0
    told: dict[str, Any] = {"psePoeClass": granted, "lldpPoeClass": granted, "powerRequested": 12.9 if known else -1, "powerState": 1 if known else -1}
    if "power_insufficient" in state.faults:
        told |= {"psePoeClass": max(granted, 3), "lldpPoeClass": max(granted, 3), "powerRequested": 71.3, "powerState": 0}
    if "poe_class_low" in state.faults:
        told |= {"psePoeClass": 2, "lldpPoeClass": 2, "powerRequested": 25.5, "powerState": 0}
    return {"usage": usage, **told}


async def mqtt_client(call: Call, _: Mapping[str, Any]) -> dict[str, Any]:
    """The words of the connection differ in case between generations; a client that is not set up is inactive."""
    product = call.state.product
    connected = product.mqtt and "mqtt_disconnected" not in call.state.faults
    word = "Connected" if connected else "Not connected"
    if product.generation.json_401:
        word = word.lower()
    server = {"protocol": "tcp", "host": "broker.example.org" if product.mqtt else "", "port": 1883}
    return {
        "status": {"state": "active" if product.mqtt else "inactive", "connectionStatus": word},
        "config": {"activateOnReboot": product.mqtt, "server": server, "clientId": f"axis-{call.state.serial.lower()}", "keepAliveInterval": 60},
    }


async def streams(call: Call, _: Mapping[str, Any]) -> dict[str, Any]:
    """State, destination and user agent of each RTSP stream are documented; the names and words are ours."""
    faults = call.state.faults
    if "no_stream" in faults:
        return {"streams": []}
    told = {
        "id": 1,
        "type": "RTSP",
        "state": "paused" if "stream_paused" in faults else "playing",
        "destinationAddress": "192.0.2.77" if "foreign_stream" in faults else call.recorder,
        "userAgent": "recorder/5.2",
        "path": "/axis-media/media.amp?camera=1",
    }
    return {"streams": [told]}


async def siren_status(_: Call, __: Mapping[str, Any]) -> dict[str, Any]:
    """The shape is ours."""
    return {"siren": {"active": False}, "light": {"active": False}, "profile": ""}


async def siren_health(call: Call, _: Mapping[str, Any]) -> dict[str, Any]:
    """The last self test. Method and shape are ours: the events are all that was ever seen of it."""
    faults = call.state.faults
    return {
        "running": False,
        "siren": {"result": "Failed" if "siren_failed" in faults else "OK"},
        "light": {"result": "Failed" if "siren_light_failed" in faults else "OK"},
    }
