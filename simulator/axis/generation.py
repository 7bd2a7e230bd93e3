"""How the generations of the firmware behave.

The differences are those seen in recordings of devices with 5.51, 8.45, 9.80, 10.12, 11.11 and 12.9; where only documentation or working
clients tell, the field says so. Of 13 it is known that more than fifty old interfaces are gone and that time and SNMP moved to the Device
Configuration interface; which paths are gone, and with which status, is our guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Policy(StrEnum):
    """Values of Network.HTTP.AuthenticationPolicy."""

    BASIC = "basic"
    DIGEST = "digest"
    BASIC_DIGEST = "basic_digest"
    RECOMMENDED = "recommended"  # digest on http, basic on https

    def schemes(self, *, secure: bool) -> tuple[str, ...]:
        match self:
            case Policy.BASIC:
                return ("Basic",)
            case Policy.DIGEST:
                return ("Digest",)
            case Policy.BASIC_DIGEST:
                return ("Digest", "Basic")
            case Policy.RECOMMENDED:
                return ("Basic",) if secure else ("Digest",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttling:
    """More than `count` refused logins of one client within `interval` seconds: it is shut out for `block` seconds."""

    count: int = 20
    interval: float = 1.0
    block: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Generation:
    """How a firmware generation behaves.

    `apis`: the VAPIX APIs it has, by the ids of API discovery, with the version the discovery lists; discovery itself is one of them.
    `answers`: the version an API's own answers carry where it differs from the listed one.
    `forbidden`: the status for an account that may not (401 or 403: clients report both).
    `rest`: the Device Configuration interfaces, with the version that the list of them shows; the stage is part of it where there is one.
    `gone`: paths that older generations have and this one removed, with the status they answer.
    `names_as_asked`: param.cgi prefixes names with `root.` only when the request did (recorded from 10.12 on; before, always).
    """

    name: str
    apis: Mapping[str, str]
    answers: Mapping[str, str] = field(default_factory=dict)
    rest: Mapping[str, str] = field(default_factory=dict)
    gone: Mapping[str, int] = field(default_factory=dict)
    policy: Policy = Policy.BASIC_DIGEST
    qop: bool = True
    forbidden: int = 401
    json_401: bool = False
    names_as_asked: bool = True
    anonymous_identity: bool = True
    info_echoes_method: bool = False
    api_status: bool = True
    disk_health: bool = True
    temperature_limits: bool = True
    throttling: Throttling | None = Throttling()
    dated_log: bool = True
    log_filter: bool = False
    snmp_parameters: bool = True
    tls13: bool = True

    @property
    def legacy(self) -> bool:
        """5.x: no JSON interface at all, old paths, Latin-1."""
        return "basic-device-info" not in self.apis

    def rest_path(self, name: str) -> str:
        """The path of a Device Configuration interface, '' where there is none of that name; the stage is part of it."""
        number, _, stage = self.rest.get(name, "").partition("-")
        return f"/config/rest/{name}/v{number.partition('.')[0]}{stage.partition('.')[0]}" if number else ""

    def version(self, api: str) -> str:
        """The version that the API's own answers carry."""
        return self.answers.get(api, self.apis[api])


_STORAGE = {"disk-management": "1.0", "packagemanager": "1.4"}

G5_51 = Generation(
    name="5.51",
    apis={"disk-management": "1.0", "packagemanager": "1.2"},
    qop=False,
    names_as_asked=False,
    disk_health=False,  # documented from 7.20 on
    temperature_limits=False,
    throttling=None,
    dated_log=False,
    tls13=False,
)
G5_40 = replace(G5_51, name="5.40")
G8_45 = Generation(
    name="8.45",
    apis={**_STORAGE, "basic-device-info": "1.0", "fwmgr": "1.0", "param-cgi": "1.0"},
    policy=Policy.DIGEST,
    names_as_asked=False,
    anonymous_identity=False,
    info_echoes_method=True,
    temperature_limits=False,
    throttling=None,
    tls13=False,
)
G9_80 = Generation(
    name="9.80",
    apis={
        **_STORAGE,
        "api-discovery": "1.0",
        "basic-device-info": "1.1",
        "fwmgr": "1.4",
        "systemready": "1.1",
        "mqtt-client": "1.0",
        "network-settings": "1.6",
        "ntp": "1.2",
        "time-service": "1.0",
        "light-control": "1.1",
        "io-port-management": "1.0",
        "param-cgi": "1.0",
    },
    policy=Policy.DIGEST,
    names_as_asked=False,
    info_echoes_method=True,
    api_status=False,
    temperature_limits=False,
    throttling=None,
)
G10_12 = Generation(
    name="10.12",
    apis={
        **_STORAGE,
        "api-discovery": "1.1",
        "basic-device-info": "1.3",
        "fwmgr": "1.4",
        "systemready": "1.2",
        "temperaturecontrol": "1.0",
        "event-streaming-over-websocket": "1.0",
        "mqtt-client": "1.5",
        "sip": "2.2",
        "supervised-io": "2.0",
        "network-settings": "1.15",
        "ntp": "1.2",
        "time-service": "1.0",
        "light-control": "1.2",
        "io-port-management": "1.1",
        "param-cgi": "1.0",
    },
    policy=Policy.DIGEST,
    forbidden=403,
)
G11_11 = Generation(
    name="11.11",
    apis={
        **G10_12.apis,
        "systemready": "1.4",
        "network-settings": "1.33",
        "ntp": "1.4",
        "time-service": "1.1",
        "light-control": "1.4",
        "mqtt-client": "1.6",
        "device-config": "1.0",
        "streamstatus": "1.0",
    },
    answers={"fwmgr": "1.5"},
    rest={"cert": "1.0.2", "lldp": "1.0.0-beta.2", "snmp": "1.0.0-beta.1", "virtualhost": "1.0.1"},
    policy=Policy.BASIC,
    log_filter=True,
)
G12 = Generation(
    name="12.x",
    apis={
        **G11_11.apis,
        "fwmgr": "1.8",
        "network-settings": "1.37",
        "ntp": "1.5",
        "light-control": "1.5",
        "power-settings": "1.8",
        "audit-log": "1.0",
        "siren-and-light": "1.0",
        "speakertest": "1.0",
    },
    answers={"systemready": "1.5"},
    rest={
        "cert": "1.0.3",
        "lldp": "1.0.2",
        "network-time-sync": "1.0.0-beta.6",
        "siren-and-light": "2.0.0-beta.15",
        "snmp": "1.2.1",
        "time": "2.0.1",
        "virtualhost": "1.2.0",
    },
    policy=Policy.RECOMMENDED,
    forbidden=403,
    json_401=True,
    log_filter=True,
)
_REMOVED = ("time-service", "ntp", "light-control")
G13 = Generation(
    name="13",
    apis={key: version for key, version in {**G12.apis, "fwmgr": "1.11", "systemready": "1.5"}.items() if key not in _REMOVED},
    rest={**G12.rest, "network-time-sync": "1.0.0", "snmp": "1.3.0"},
    gone={
        "/axis-cgi/time.cgi": 410,
        "/axis-cgi/ntp.cgi": 405,
        "/axis-cgi/lightcontrol.cgi": 404,
        "/axis-cgi/restart.cgi": 410,
        "/axis-cgi/factorydefault.cgi": 405,
        "/axis-cgi/hardfactorydefault.cgi": 404,
    },
    policy=Policy.RECOMMENDED,
    forbidden=403,
    json_401=True,
    log_filter=True,
    snmp_parameters=False,
)
# A product with a version line of its own: an I/O module 1.84.1 was recorded with the parameters of a firmware of early 2020.
G_MODULE = Generation(
    name="1.84",
    apis={key: version for key, version in {**G9_80.apis, "fwmgr": "1.0"}.items() if key != "light-control"},
    policy=Policy.BASIC_DIGEST,
    names_as_asked=False,
    info_echoes_method=True,
    api_status=False,
    temperature_limits=False,
    throttling=None,
)

# Another one: a network speaker 1.65.032 was seen over SNMP only; its interfaces are taken to be those of its years.
G_SPEAKER = replace(G8_45, name="1.65", policy=Policy.BASIC_DIGEST)

GENERATIONS = {generation.name: generation for generation in (G5_40, G5_51, G8_45, G9_80, G10_12, G11_11, G12, G13, G_MODULE, G_SPEAKER)}
