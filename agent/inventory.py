"""The config's values as the agent's own: devices with their accounts and contracts, desks, routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.model import Contract, Credential, Desk, Device, HttpCredential, Secret, SnmpCredential, TlsMode, TlsPolicy
from agent.service.cases import Route
from config.plans import Plan
from config.secrets import SecretValue
from config.settings import ContractSettings, CredentialSettings, DeviceSettings, RouteSettings, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What is watched, and who is told. Devices are in the order of the config; `plans` are the catalogue with the site's own over it."""

    devices: tuple[Device, ...]
    contracts: Mapping[str, Contract]
    plans: Mapping[str, Plan]
    desks: tuple[Desk, ...]
    routes: tuple[Route, ...]


def build(settings: Settings) -> Inventory:
    """The inventory of these settings. A part takes from its parent the site, room, contract and accounts it does not have itself."""
    credentials = {name: credential(name, item) for name, item in settings.credentials.items()}
    contracts = {name: contract(name, item) for name, item in settings.contracts.items()}
    written = {device.id: device for device in settings.devices}
    return Inventory(
        devices=tuple(_device(device, written, credentials, contracts, settings.site.name) for device in settings.devices),
        contracts=contracts,
        plans=settings.plans,
        desks=tuple(
            Desk(
                name=name,
                type=desk.type,
                role=desk.role,
                language=desk.language,
                approval=desk.approval == "required",
                sensitive=desk.sensitive == "send",
                settings=desk.settings,
            )
            for name, desk in settings.desks.items()
        ),
        routes=tuple(_route(route) for route in settings.routes),
    )


def credential(name: str, item: CredentialSettings) -> Credential:
    """The account of this name, with its secrets."""
    if item.snmp is None:
        return HttpCredential(name=name, username=item.username, password=_secret(item.password))
    return SnmpCredential(
        name=name,
        snmp_version=item.snmp.version,
        community=_secret(item.snmp.community),
        user=item.snmp.user,
        auth=item.snmp.auth,
        auth_key=_secret(item.snmp.auth_key),
        priv=item.snmp.priv,
        priv_key=_secret(item.snmp.priv_key),
    )


def contract(name: str, item: ContractSettings) -> Contract:
    """The contract of this name."""
    return Contract(
        id=name,
        plan="" if item.plan == "none" else item.plan,
        number=item.number,
        starts=item.starts,
        ends=item.ends,
        purchased=item.purchased,
        proof_of_purchase=item.proof_of_purchase,
        contact_name=item.contact.name,
        contact_phone=item.contact.phone,
        contact_email=item.contact.email,
        address=item.address,
    )


def _secret(value: SecretValue) -> Secret:
    return Secret(value.reveal())


def _route(route: RouteSettings) -> Route:
    match = route.match
    return Route(to=tuple(dict.fromkeys(route.to)), plan=match.plan, contract=match.contract, vendor=match.vendor, site=match.site, tag=match.tag)


def _lineage(device: DeviceSettings, written: Mapping[str, DeviceSettings]) -> tuple[DeviceSettings, ...]:
    """The device, its parent, and so on. Loops were refused when the config was loaded."""
    line = [device]
    while (parent := written.get(line[-1].parent)) is not None:
        line.append(parent)
    return tuple(line)


def _device(
    device: DeviceSettings, written: Mapping[str, DeviceSettings], credentials: Mapping[str, Credential], contracts: Mapping[str, Contract], site: str
) -> Device:
    line = _lineage(device, written)
    accounts = next((dict(item.credentials.named()) for item in line if any(item.credentials.named())), {})
    agreed = next((item.contract for item in line if item.contract), "")
    return Device(
        id=device.id,
        vendor=device.vendor,
        host=device.host,
        port=device.port,
        scheme=device.scheme,
        snmp_port=device.snmp_port,
        ssh_port=device.ssh_port,
        ssh_legacy=device.ssh_legacy,
        source_address=device.source_address,
        site=next((item.site for item in line if item.site), site),
        room=next((item.room for item in line if item.room), ""),
        parent=device.parent,
        serial=device.serial,
        model=device.model,
        tags=device.tags,
        credentials={role: credentials[name] for role, name in accounts.items()},
        contract=contracts[agreed] if agreed else None,
        tls=TlsPolicy(mode=TlsMode(device.tls.mode), sha256=device.tls.sha256, ca_file=device.tls.ca_file, legacy=device.tls.legacy),
        allow_basic_over_http=device.allow_basic_over_http,
        interval=device.interval,
        settings=device.settings,
    )
