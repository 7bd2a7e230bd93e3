"""The parameter tree of param.cgi. Names without `root.`; values as text.

Groups and names follow the lists recorded from 5.51, 11.11 and 12.9 devices; only those that say something about health are here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from simulator.axis.auth import Role
from simulator.axis.generation import Policy
from simulator.axis.product import Product
from simulator.axis.state import State

MASK = "******"

_ADMINISTRATOR = frozenset({"HTTPS", "SNMP", "System", "Time"})
_OPERATOR = frozenset({"Network", "Storage", "TemperatureControl"})


def tree(state: State, *, policy: Policy, snmp: Mapping[str, str]) -> dict[str, str]:
    """Every parameter of the device now. `snmp`: the values of the SNMP group that are not the delivered ones."""
    product, generation = state.product, state.product.generation
    found: dict[str, str] = {}
    found |= _prefixed(
        "Brand",
        {
            "Brand": "AXIS",
            "ProdFullName": product.full_name,
            "ProdNbr": product.number,
            "ProdShortName": product.short_name,
            "ProdType": product.type,
            **({} if generation.legacy else {"ProdVariant": product.variant}),
            "WebURL": "http://www.axis.com",
        },
    )
    found |= _properties(state)
    found |= _network(state, policy)
    found |= _prefixed(
        "System",
        {
            "BoaGroupPolicy.admin": "both",
            "BoaGroupPolicy.operator": "both",
            "BoaGroupPolicy.viewer": "both",
            "BoaPort": "80",
            "RootPwdSet": "no" if "needs_setup" in state.faults else "yes",
        },
    )
    if (throttling := generation.throttling) is not None:
        found |= _prefixed(
            "System.PreventDoSAttack",
            {
                "ActivatePasswordThrottling": "On",
                "DoSBlockingPeriod": f"{throttling.block:g}",
                "DoSPageCount": str(throttling.count),
                "DoSPageInterval": f"{throttling.interval:g}",
                "DoSSiteCount": str(throttling.count),
                "DoSSiteInterval": f"{throttling.interval:g}",
            },
        )
    found |= _prefixed("HTTPS", {"Enabled": "yes", "Port": "443"})
    if generation.snmp_parameters:
        found |= _prefixed(
            "SNMP",
            {
                "DSCP": "0",
                "Enabled": "no",
                "EngineBoots": str(state.boots),
                "InitialUserPasswd": "",
                "InitialUserPasswdSet": "no",
                "Trap.Enabled": "no",
                "Trap.T0.Address": "",
                "Trap.T0.Community": "public",
                "V1": "no",
                "V1ReadCommunity": "public",
                "V1WriteCommunity": "write",
                "V2c": "no",
                "V3": "no",
                **snmp,
            },
        )
    found |= _prefixed("Time", {"NTP.Server": "0.0.0.0", "POSIXTimeZone": "UTC0", "SyncSource": "NTP", "ObtainFromDHCP": "yes"})
    found |= _storage(state)
    if generation.temperature_limits:
        found |= _temperature(product)
    return dict(sorted((found | state.parameters).items()))


def _prefixed(group: str, values: Mapping[str, str]) -> dict[str, str]:
    return {f"{group}.{name}": value for name, value in values.items()}


def _yes(flag: object) -> str:
    return "yes" if flag else "no"


def _properties(state: State) -> dict[str, str]:
    product, generation = state.product, state.product.generation
    values = {
        "API.HTTP.AdminPath": "/operator/basic.shtml" if generation.legacy else "/index.html",
        "API.HTTP.Version": "3",
        "Firmware.BuildDate": product.build_date,
        "Firmware.BuildNumber": "1",
        "Firmware.Version": product.firmware,
        "System.Architecture": product.architecture,
        "System.HardwareID": product.hardware,
        "System.Language": "",
        "System.SerialNumber": state.serial,
    }
    if product.sd_card is not None:
        storage = {"LocalStorage": "yes", "SDCard": "yes", "Version": "1.00"}
        if generation.disk_health:
            storage["DiskHealth"] = "yes"
        values |= _prefixed("LocalStorage", storage)
    if not generation.legacy:
        values |= {"System.LanguageType": "", "System.Soc": product.soc}
    if product.has("fwmgr"):
        values["FirmwareManagement.Version"] = generation.apis["fwmgr"]
    if product.has("api-discovery"):
        values["ApiDiscovery.ApiDiscovery"] = "yes"
    if product.has("temperaturecontrol"):
        values |= _prefixed(
            "TemperatureSensor",
            {"Fan": _yes(product.fans), "Heater": _yes(product.heaters), "TemperatureControl": "yes", "TemperatureSensor": "yes"},
        )
    if product.has("sip"):
        values |= {"API.SIP.SIP": "yes", "API.SIP.Version": generation.apis["sip"]}
    if product.has("speakertest"):
        values |= {"API.SpeakerTest.AutomaticTest": "yes", "API.SpeakerTest.Version": generation.apis["speakertest"]}
    if product.video:
        values["Image.Format"] = "jpeg,mjpeg,h264"
        values["Image.Resolution"] = "1920x1080,1280x720,1024x576,640x360,320x180"
    return _prefixed("Properties", values)


def _network(state: State, policy: Policy) -> dict[str, str]:
    mac = ":".join(re.findall("..", state.serial))
    return _prefixed(
        "Network",
        {
            "Bonjour.Enabled": "yes",
            "Bonjour.FriendlyName": f"{state.product.short_name} - {state.serial}",
            "BootProto": "dhcp",
            "HTTP.AuthenticationPolicy": policy,
            "HTTP.AuthenticationWithQop": _yes(state.product.generation.qop),
            "RTSP.ProtViewer": "password",
            "Resolver.NameServer1": "192.0.2.53",
            "Routing.DefaultRouter": "192.0.2.1",
            "SSH.Enabled": "no",
            "UPnP.Enabled": "no",
            "UPnP.FriendlyName": f"{state.product.short_name} - {state.serial}",
            "eth0.IPAddress": state.address,
            "eth0.MACAddress": mac,
            "eth0.SubnetMask": "255.0.0.0",
            **({} if state.product.generation.legacy else {"Interface.I0.dot1x.EAPTLS.PrivateKeyPassword": MASK}),
        },
    )


def _storage(state: State) -> dict[str, str]:
    """How storage is set up, which a failed card does not change."""
    found = {"Storage.MountDir": "/var/spool/storage"}
    slots = [("S1", "NetworkShare", "NetworkShare:", "cifs")]
    if state.product.sd_card is not None:
        slots.insert(0, ("S0", "SD_DISK", "/dev/sd_disk1", "ext4"))
    slots += [(f"S{number + 1}", f"HARD_DISK_{number}", f"/dev/sd{chr(96 + number)}1", "ext4") for number in range(1, len(state.product.hard_disks) + 1)]
    for group, disk, node, file_system in slots:
        found |= _prefixed(
            f"Storage.{group}",
            {
                "CleanupLevel": "90",
                "CleanupMaxAge": "7",
                "CleanupPolicyActive": "fifo",
                "DeviceNode": node,
                "DiskID": disk,
                "Enabled": "yes",
                "FileSystem": file_system,
                "FriendlyName": "",
                "Locked": "no",
                "MountOnBoot": "yes",
                "RequiredFileSystem": "none",
            },
        )
    return found


def _temperature(product: Product) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, sensor in enumerate(product.sensors):
        found |= _prefixed(f"TemperatureControl.Sensor.S{number}", {"Name": sensor.name, "TriggerHigh": str(sensor.high), "TriggerLow": str(sensor.low)})
    for number in range(product.heaters):
        found |= _prefixed(
            f"TemperatureControl.Heater.H{number}",
            {"ControlPolicyDelta": "0", "ControlPolicyLimit": "15", "ManualControlDuration": "300", "UserControlSupport": "yes"},
        )
    return found


def readable(name: str, role: Role) -> bool:
    """Whether an account of this level may read the parameter (the levels of Brand, Properties, Storage and Time are documented)."""
    group = name.partition(".")[0]
    return role >= (Role.ADMINISTRATOR if group in _ADMINISTRATOR else Role.OPERATOR if group in _OPERATOR else Role.VIEWER)


def listing(parameters: Mapping[str, str], groups: Iterable[str], role: Role, *, as_asked: bool) -> str:
    """The body of `action=list`: good lines and error lines mixed, status 200 either way. No groups: everything."""
    lines: list[str] = []
    for group in groups or ("root",):
        bare = group.removeprefix("root.") if group != "root" else ""
        prefix = "" if as_asked and not group.startswith("root") else "root."
        found = [f"{prefix}{name}={value}" for name, value in parameters.items() if _within(name, bare) and readable(name, role)]
        lines += found or [f"# Error: Error -1 getting param in group '{group}'"]
    return "\n".join(lines) + "\n"


def _within(name: str, group: str) -> bool:
    """Whether a parameter belongs to a group; a segment of the group may be a pattern, as in Sensor.S*."""
    wanted = group.split(".") if group else []
    have = name.split(".")
    return len(have) >= len(wanted) and all(fnmatchcase(part, pattern) for part, pattern in zip(have, wanted, strict=False))
