"""Answers of Axis devices of several generations, written by hand in the shapes that devices send. Serial numbers are made up."""

from __future__ import annotations

import json
from typing import Any


def identity(**changes: Any) -> dict[str, Any]:
    """basicdeviceinfo of a camera on 11.11; a value of None removes the key."""
    told: dict[str, Any] = {
        "Brand": "AXIS",
        "BuildDate": "Nov 11 2025 11:11",
        "HardwareID": "9F1.2",
        "ProdFullName": "AXIS P3299-LVE Dome Camera",
        "ProdNbr": "P3299-LVE",
        "ProdShortName": "AXIS P3299-LVE",
        "ProdType": "Dome Camera",
        "ProdVariant": "",
        "SerialNumber": "B8A44F0A0B01",
        "Version": "11.11.160",
        "WebURL": "https://www.axis.com",
    }
    told |= changes
    return {"apiVersion": "1.3", "data": {"propertyList": {key: value for key, value in told.items() if value is not None}}}


IDENTITIES = {
    "camera 11.11": (identity(), ("P3299-LVE", "11.11.160", "B8A44F0A0B01"), False),
    "speaker 12.9": (
        identity(ProdNbr="C1499-E", ProdType="Network Speaker", Version="12.9.50", SerialNumber="E827250A0B02"),
        ("C1499-E", "12.9.50", "E827250A0B02"),
        None,
    ),
    "intercom 10.12": (
        identity(ProdNbr="A8299-VE", ProdType="Network Video Intercom", Version="10.12.300", SerialNumber="ACCC8E0A0B03"),
        ("A8299-VE", "10.12.300", "ACCC8E0A0B03"),
        None,
    ),
    "camera 8.45 with the answer's method": (
        {**identity(Version="8.45.3.1", Soc="Axis Artpec-5", SocSerialNumber=""), "method": "getAllProperties", "context": ""},
        ("P3299-LVE", "8.45.3.1", "B8A44F0A0B01"),
        False,
    ),
    "serial with separators, in lower case": (identity(SerialNumber="b8:a4:4f:0a:0b:01"), ("P3299-LVE", "11.11.160", "B8A44F0A0B01"), False),
    "no product number": (identity(ProdNbr=None), ("P3299-LVE", "11.11.160", "B8A44F0A0B01"), False),
    "no product type": (identity(ProdType=None), ("P3299-LVE", "11.11.160", "B8A44F0A0B01"), None),
}

BRAND_5_51 = """root.Brand.Brand=AXIS
root.Brand.ProdFullName=AXIS P5599 PTZ Dome Network Camera
root.Brand.ProdNbr=P5599
root.Brand.ProdShortName=AXIS P5599
root.Brand.ProdType=PTZ Dome Network Camera
root.Properties.Firmware.BuildDate=May 05 2016 10:10
root.Properties.Firmware.Version=5.51.3
root.Properties.System.HardwareID=1A9
root.Properties.System.SerialNumber=00408C0A0B04
"""


def readiness(**changes: Any) -> dict[str, Any]:
    """systemready on 11.11; a value of None removes the key."""
    told: dict[str, Any] = {"systemready": "yes", "needsetup": "no", "uptime": "86400", "bootid": "5d0d9f3e-1111-4c1b-9d55-0123456789aa"}
    told |= changes
    return {"apiVersion": "1.4", "method": "systemready", "data": {key: value for key, value in told.items() if value is not None}}


TEMPERATURES = """Sensor.S0.Name=Main
Sensor.S0.Celsius=41.25
Sensor.S0.Fahrenheit=106.25
Sensor.S1.Name=CPU
Sensor.S1.Celsius=55.00
Sensor.S1.Fahrenheit=131.00
Heater.H0.Status=Stopped
Heater.H0.TimeUntilStop=0
Heater.H1.Status=Running[100%]
Fan.F0.Status=Running
Fan.F1.Status=Fan Failure
"""

LIMITS = """root.TemperatureControl.Heater.H0.ControlPolicyLimit=15
root.TemperatureControl.Sensor.S0.Name=Main
root.TemperatureControl.Sensor.S0.TriggerHigh=80
root.TemperatureControl.Sensor.S0.TriggerLow=-40
root.TemperatureControl.Sensor.S1.Name=CPU
root.TemperatureControl.Sensor.S1.TriggerHigh=105
root.TemperatureControl.Sensor.S1.TriggerLow=-40
"""


def disk(diskid: str = "SD_DISK", /, **changes: str | None) -> str:
    """One disk of disks/list.cgi; a value of None removes the attribute."""
    told: dict[str, str | None] = {
        "diskid": diskid,
        "name": "",
        "totalsize": "62000000",
        "freesize": "6200000",
        "cleanuplevel": "90",
        "locked": "no",
        "full": "no",
        "readonly": "no",
        "status": "OK",
        "filesystem": "ext4",
        "encryptionenabled": "false",
        "diskencrypted": "false",
    }
    told |= changes
    return "<disk " + " ".join(f'{key}="{value}"' for key, value in told.items() if value is not None) + "/>"


EMPTY_SHARE = disk("NetworkShare", totalsize="0", freesize="0", status="disconnected", filesystem="cifs")
EMPTY_SLOT = disk(totalsize="0", freesize="0", status="disconnected", filesystem="vfat")


def disks(*found: str) -> bytes:
    """The whole document."""
    body = "".join(found)
    head = '<?xml version="1.0" encoding="ISO-8859-1"?><root xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
    return f'{head}<disks numberofdisks="{len(found)}">{body}</disks></root>'.encode("latin-1")


def health(**changes: str | None) -> bytes:
    """disks/gethealth.cgi, in its documented form."""
    told: dict[str, str | None] = {"diskid": "SD_DISK", "wear": "12", "temperature": "310", "overallhealth": "1"}
    told |= changes
    attributes = " ".join(f'{key}="{value}"' for key, value in told.items() if value is not None)
    return f'<?xml version="1.0"?><DiskHealthResponse><HealthStatus {attributes}/></DiskHealthResponse>'.encode()


HEALTH_ERROR = (
    b"<DiskHealthResponse><GeneralError><ErrorCode>10</ErrorCode><ErrorDescription>Not supported</ErrorDescription></GeneralError></DiskHealthResponse>"
)
DISKS_ERROR = b'<root><job result="ERROR" cause="busy"/></root>'

STORAGE_CONFIG = """root.Properties.LocalStorage.LocalStorage=yes
root.Storage.MountDir=/var/spool/storage
root.Storage.S0.DeviceNode=/dev/sd_disk1
root.Storage.S0.DiskID=SD_DISK
root.Storage.S0.Enabled=yes
root.Storage.S0.FriendlyName=
root.Storage.S0.MountOnBoot=yes
root.Storage.S0.RequiredFileSystem=none
root.Storage.S1.DeviceNode=NetworkShare:
root.Storage.S1.DiskID=NetworkShare
root.Storage.S1.Enabled=yes
root.Storage.S1.MountOnBoot=yes
root.Storage.S1.RequiredFileSystem=none
"""


def firmware(**changes: Any) -> dict[str, Any]:
    """firmwaremanagement status; a value of None removes the key."""
    told: dict[str, Any] = {
        "activeFirmwareVersion": "12.9.50",
        "activeFirmwarePart": "1",
        "inactiveFirmwareVersion": "12.8.40",
        "isCommited": True,
        "resetSource": "power-on",
    }
    told |= changes
    return {"apiVersion": "1.8", "method": "status", "data": {key: value for key, value in told.items() if value is not None}}


MIB = "1.3.6.1.4.1.368.4.1"
WALK: list[tuple[str, int | bytes | str]] = [
    (f"{MIB}.1.1.3.2.1", 1),
    (f"{MIB}.2.1.3.2.1", 1),
    (f"{MIB}.3.1.3.1.3", 1),
    (f"{MIB}.3.1.3.1.4", 1),
    (f"{MIB}.3.1.4.1.3", 41),
    (f"{MIB}.3.1.4.1.4", 52),
    (f"{MIB}.8.1.2.1", b"SD_DISK"),
    (f"{MIB}.8.1.2.2", b"NetworkShare"),
    (f"{MIB}.8.1.3.1", 2),
    (f"{MIB}.8.1.3.2", 2),
]
SYSTEM: dict[str, int | bytes | str] = {
    "1.3.6.1.2.1.1.1.0": b" ; AXIS P3299-LVE; Dome Camera; 10.12.300; Feb 02 2026 08:00; 9F1.2; 1;",
    "1.3.6.1.2.1.1.3.0": 8_640_000,
    "1.3.6.1.2.1.1.5.0": b"axis-b8a44f0a0b01",
    "1.3.6.1.2.1.2.2.1.6.2": bytes.fromhex("B8A44F0A0B01"),
}


def text(payload: object) -> bytes:
    return json.dumps(payload).encode()
