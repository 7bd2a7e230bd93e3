"""Every key of `latarnik.yaml`: its type, its default, and its help (from which docs/config.md is generated).

`config.load.load` makes a `Settings`; nothing else should. Values that are not written in the file itself (the secrets that were read,
the sections of vendors and desks as their own types, what is doubtful) are properties, so that no key of the file can claim to be one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, PrivateAttr

from config.errors import Problem
from config.plans import Plan
from config.secrets import SecretValue
from config.values import Address, Day, Duration, FilePath, Fingerprint, Host, HostPort, Line, Listen, Name, Names, Port, Section, Size, parse_listen

ROLES = ("http", "service", "snmp", "ssh")


class Site(Section):
    name: Line = Field(min_length=1, description="Name of the site: a label of every device's info metric and a word in every ticket.")
    timezone: Line = Field(default="UTC", description="IANA name of the site's time zone, such as Europe/Warsaw: times in tickets are written in it.")


def _snmp_version(value: object) -> object:
    return {"1": 1, "2": 2, "2c": 2, "3": 3}.get(str(value), value) if not isinstance(value, bool) else value


class Snmp(Section):
    """SNMP access: a community for versions 1 and 2c, a user for version 3."""

    version: Annotated[Literal[1, 2, 3], BeforeValidator(_snmp_version)] = Field(description="1, 2 (also written 2c) or 3.")
    community_file: FilePath | None = Field(default=None, description="Versions 1 and 2: file with the community, alone on one line, mode 0600.")
    community_env: Line | None = Field(default=None, description="Versions 1 and 2: environment variable that holds the community.")
    user: Line = Field(default="", description="Version 3: the user name.")
    auth: Literal["", "md5", "sha1", "sha256", "sha512"] = Field(default="", description="Version 3: how messages are signed; empty: they are not.")
    auth_key_file: FilePath | None = Field(default=None, description="Version 3: file with the authentication password.")
    auth_key_env: Line | None = Field(default=None, description="Version 3: environment variable that holds the authentication password.")
    priv: Literal["", "des", "aes128", "aes256"] = Field(default="", description="Version 3: how messages are encrypted (needs auth); empty: they are not.")
    priv_key_file: FilePath | None = Field(default=None, description="Version 3: file with the encryption password.")
    priv_key_env: Line | None = Field(default=None, description="Version 3: environment variable that holds the encryption password.")

    _community: SecretValue = PrivateAttr(SecretValue(""))
    _auth_key: SecretValue = PrivateAttr(SecretValue(""))
    _priv_key: SecretValue = PrivateAttr(SecretValue(""))

    @property
    def community(self) -> SecretValue:
        return self._community

    @property
    def auth_key(self) -> SecretValue:
        return self._auth_key

    @property
    def priv_key(self) -> SecretValue:
        return self._priv_key


class CredentialSettings(Section):
    """An account. Either a user name and the source of its password, or SNMP access."""

    username: Line = Field(default="", description="User name for the web interface and SSH.")
    password_file: FilePath | None = Field(default=None, description="File that holds the password alone on one line; not readable by everybody (chmod 600).")
    password_env: Line | None = Field(default=None, description="Environment variable that holds the password.")
    snmp: Snmp | None = Field(default=None, description="SNMP access instead of a user name.")

    _password: SecretValue = PrivateAttr(SecretValue(""))

    @property
    def password(self) -> SecretValue:
        return self._password


class Contact(Section):
    name: Line = Field(default="", description="Who speaks for the user of the devices (HEZO: the authorised representative).")
    phone: Line = Field(default="", description="Telephone of the contact.")
    email: Line = Field(default="", description="Mail address of the contact.")


class ContractSettings(Section):
    """A service contract, or a warranty."""

    plan: Line = Field(default="none", description="Service plan: one of the catalogue, or of this file's `plans`.")
    number: Line = Field(default="", description="Number of the service contract, as the vendor wants to read it.")
    starts: Day | None = Field(default=None, description="First day it is valid.")
    ends: Day | None = Field(default=None, description="Last day it is valid.")
    purchased: Day | None = Field(default=None, description="Day the devices were bought: warranties and HEZO + count from it.")
    proof_of_purchase: Line = Field(default="", description="Invoice number or file name that proves the purchase: Axis may ask for it.")
    contact: Contact = Field(default=Contact(), description="Who is named in a report.")
    address: Annotated[str, Field(max_length=2000)] = Field(default="", description="Where a replacement is delivered.")


class Tls(Section):
    """How the device's certificate comes to be trusted."""

    mode: Literal["enrol", "tofu", "pin", "ca", "insecure"] = Field(
        default="enrol",
        description="enrol: nothing secret is sent until a person accepted the fingerprint (latarnik trust); tofu: the first one seen is accepted; "
        "pin: the one given in sha256; ca: signed by ca_file, or by the system's authorities; insecure: any.",
    )
    sha256: Fingerprint = Field(default="", description="With mode pin: SHA-256 fingerprint of the certificate, 64 hex digits, colons allowed.")
    ca_file: FilePath | None = Field(default=None, description="With mode ca: certificates of the authorities, PEM.")
    legacy: bool = Field(
        default=False,
        description="Accept TLS 1.0 and 1.1, short keys, SHA-1 and the old renegotiation from this device: for one that is too old for TLS 1.2.",
    )


def _by_role(value: object) -> object:
    return {"http": value} if isinstance(value, str) else value


class DeviceCredentials(Section):
    """Which account is used for what; a name alone means http."""

    http: Line = Field(default="", description="Account for polling.")
    service: Line = Field(default="", description="Account for reports and logs, where the polling account may not fetch them.")
    snmp: Line = Field(default="", description="SNMP access.")
    ssh: Line = Field(default="", description="Account for SSH; without it the http one is used.")

    def named(self) -> Iterator[tuple[str, str]]:
        """(role, credential name) of those that are given."""
        return ((role, name) for role in ROLES if (name := getattr(self, role)))


class DeviceSettings(Section):
    """One device. Beside these keys an entry may hold the vendor's own section under the vendor's name."""

    id: Name = Field(description="Stable name of the device, unique in the fleet: the label `device` of every metric. Letters, digits, dot, dash, underscore.")
    vendor: Line = Field(min_length=1, description="Which collector speaks to it: poly, axis, or another that is installed.")
    host: Host = Field(default="", description="Host name or address. Left out for a part that hangs on its `parent`, such as a Studio E70.")
    port: Port | None = Field(default=None, description="Port of its web interface; the default is the scheme's own.")
    scheme: Literal["https", "http"] = Field(default="https", description="https, or http for a device that has nothing better.")
    snmp_port: Port = Field(default=161, description="Port of its SNMP agent.")
    ssh_port: Port = Field(default=22, description="Port of its SSH server.")
    ssh_legacy: bool = Field(default=False, description="Accept the key exchange, host key and cipher algorithms of old SSH servers (SHA-1, CBC).")
    source_address: Address = Field(default="", description="Address of this machine that it is spoken to from; without it the system chooses.")
    site: Line = Field(default="", description="Site, when it is another than the agent's; a part takes its parent's.")
    room: Line = Field(default="", description="Room or place; a part takes its parent's.")
    parent: Line = Field(default="", description="Id of the device this one hangs on: when the parent is away, this one makes no ticket of its own.")
    serial: Line = Field(default="", description="Serial number, where it is known: another device answering at this address is then noticed.")
    model: Line = Field(default="", description="Model, where it is known.")
    tags: Names = Field(default=(), description="Words of your own, for routes.")
    credentials: Annotated[DeviceCredentials, BeforeValidator(_by_role)] = Field(
        default=DeviceCredentials(), description="Name of the account, or a mapping of http, service, snmp and ssh to names; a part takes its parent's."
    )
    contract: Line = Field(default="", description="Name of its contract; a part takes its parent's.")
    tls: Tls = Field(default=Tls(), description="How its certificate comes to be trusted.")
    allow_basic_over_http: bool = Field(
        default=False, description="Send the password unencrypted over plain http with Basic authentication. Off, unless said here."
    )
    interval: Duration | None = Field(default=None, gt=0, description="Time between its polls; without it `polling.interval`.")

    _settings: BaseModel | None = PrivateAttr(None)

    @property
    def settings(self) -> BaseModel | None:
        """The vendor's own settings: its section at the top of the file, overridden key by key by the device's."""
        return self._settings


class DeskSettings(Section):
    """A ticket desk. Beside these keys stand those of its type."""

    type: Line = Field(min_length=1, description="Kind of ticket system: one of those that are installed.")
    role: Literal["internal", "vendor"] = Field(
        default="internal", description="internal takes every case; vendor only one that is complete by the vendor's rules."
    )
    language: Literal["", "pl", "en"] = Field(default="", description="Language of its tickets; without it the plan's, then the file's `language`.")
    approval: Literal["required", "none"] = Field(default="none", description="required: a person says yes before the first message of a case goes out.")
    sensitive: Literal["send", "keep"] = Field(
        default="send",
        description="keep: files in which a device may tell account names, addresses or its log stay on this server; the ticket names them with their SHA-256.",
    )

    _settings: BaseModel | None = PrivateAttr(None)

    @property
    def settings(self) -> BaseModel | None:
        """The desk type's own keys, as its own type."""
        return self._settings


class Match(Section):
    """What a route takes: every key that is given must fit; a list means any of these."""

    plan: Names = Field(default=(), description="Service plan of the device's contract.")
    contract: Names = Field(default=(), description="Contract of the device.")
    vendor: Names = Field(default=(), description="Vendor of the device.")
    site: Names = Field(default=(), description="Site of the device.")
    tag: Names = Field(default=(), description="Tag of the device.")


class RouteSettings(Section):
    match: Match = Field(default=Match(), description="Which cases; left out: all.")
    to: Names = Field(min_length=1, description="Names of the desks they go to.")


class Polling(Section):
    interval: Duration = Field(default=60.0, ge=1, description="Time between two polls of a device.")
    timeout: Duration = Field(default=10.0, gt=0, description="Longest wait for one answer of a device.")
    concurrency: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="Polls that run at the same time; a fifth of them is kept for devices that were late. While many devices hang, up to twice as many run.",
    )
    stale_after_missed: int = Field(default=3, ge=1, description="So many polls missed in a row make the last values old: they are no longer shown.")


class Traps(Section):
    """SNMP traps are hints to poll a device now. Off without an address, unless systemd hands over a socket (latarnik-traps.socket)."""

    listen: Listen | None = Field(
        default=None,
        description="UDP address to receive SNMP traps (versions 2c and 3) of the inventory's devices on, such as `0.0.0.0:1162`; left out: they are not "
        "received. For a port under 1024, such as 162, leave it out and enable latarnik-traps.socket.",
    )


class FaultOverride(Section):
    """Overrides of what a vendor declares of its faults; a key left out keeps the vendor's value."""

    hold: Duration | None = Field(default=None, description="The fault must last so long before it counts.")
    hits: int | None = Field(default=None, ge=1, description="The fault must be seen in so many polls before it counts.")
    clear: Duration | None = Field(default=None, description="The fault must be gone so long before it is over.")
    misses: int | None = Field(default=None, ge=1, description="The fault must be gone in so many polls before it is over.")
    severity: Literal["info", "warning", "critical"] | None = Field(default=None, description="info, warning or critical.")
    ticket: bool | None = Field(default=None, description="Whether it makes a ticket.")


class Evidence(Section):
    max_age: Duration = Field(default=90 * 86400.0, gt=0, description="Evidence of closed cases is kept so long.")
    max_size: Size = Field(default=5 * 2**30, gt=0, description="All evidence together takes no more space than this; the oldest of closed cases goes first.")


class History(Section):
    """What has no limit here: what an open case or an unsent step needs, and what is kept of the devices of the inventory."""

    max_age: Duration = Field(
        default=730 * 86400.0,
        gt=0,
        description="So long closed cases with their tickets' texts, and what is known of a device that left the inventory, are kept.",
    )
    max_size: Size = Field(default=2**30, gt=0, description="The database takes no more space than this; the oldest closed cases go first.")


class Settings(Section):
    """The whole of `latarnik.yaml`. Only `site` and `devices` have to be there."""

    site: Site = Field(description="Where the agent stands.")
    listen: Listen = Field(default=parse_listen("127.0.0.1:9877"), description="Address of the web page and of /metrics; IPv6 in brackets: `[::1]:9877`.")
    state_dir: FilePath = Field(
        default=Path("~/.local/state/latarnik"),
        description="Folder for the database and the evidence. Default: $STATE_DIRECTORY (systemd sets it), else ~/.local/state/latarnik.",
    )
    language: Literal["pl", "en"] = Field(default="en", description="Language of tickets where neither desk nor plan says one.")
    credentials: dict[Name, CredentialSettings] = Field(default={}, description="Accounts, by a name of your own.")
    contracts: dict[Name, ContractSettings] = Field(default={}, description="Service contracts and warranties, by a name of your own.")
    plans: dict[Name, Plan] = Field(default={}, description="Service plans of your own, and overrides of the catalogue's, key by key.")
    devices: Annotated[tuple[DeviceSettings, ...], Field(strict=False)] = Field(
        description="The inventory: entries, and `{file: devices.csv}` for those in a table with the same names in its first row."
    )
    desks: dict[Name, DeskSettings] = Field(default={}, description="Ticket systems, by a name of your own.")
    routes: Annotated[tuple[RouteSettings, ...], Field(strict=False)] = Field(
        default=(),
        description="Which case goes to which desk: the first that fits decides. What fits none goes to every internal desk; without routes, to every desk.",
    )
    polling: Polling = Field(default=Polling(), description="How often, how long, how many at once.")
    traps: Traps = Field(default=Traps(), description="Receiving SNMP traps, as hints to poll a device now.")
    faults: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.*-]+$")], FaultOverride] = Field(
        default={}, description="Overrides by fault code; `*` in a code stands for anything. Later entries win over earlier ones, key by key."
    )
    faults_at_first_sight: Literal["list", "ticket"] = Field(
        default="list", description="What was broken before we came: list shows it until a person adopts it; ticket treats it as any other fault."
    )
    evidence: Evidence = Field(default=Evidence(), description="How long and how much of what was collected is kept.")
    history: History = Field(default=History(), description="How long and how much is kept of what is over.")

    _file: Path = PrivateAttr(Path("latarnik.yaml"))
    _vendors: Mapping[str, BaseModel] = PrivateAttr(default_factory=dict)
    _warnings: tuple[Problem, ...] = PrivateAttr(())

    @property
    def file(self) -> Path:
        """The file this was read from, absolute."""
        return self._file

    @property
    def directory(self) -> Path:
        """Where relative paths start."""
        return self._file.parent

    @property
    def vendors(self) -> Mapping[str, BaseModel]:
        """The vendor sections at the top of the file, one for each known vendor (its defaults where the file has none)."""
        return self._vendors

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is doubtful but can be run with."""
        return self._warnings


def keys_of(model: type[BaseModel]) -> tuple[str, ...]:
    """The keys this section may hold."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


__all__ = [
    "Contact",
    "ContractSettings",
    "CredentialSettings",
    "DeskSettings",
    "DeviceCredentials",
    "DeviceSettings",
    "Evidence",
    "FaultOverride",
    "History",
    "HostPort",
    "Match",
    "Polling",
    "RouteSettings",
    "Section",
    "Settings",
    "Site",
    "Snmp",
    "Tls",
    "Traps",
    "keys_of",
]
