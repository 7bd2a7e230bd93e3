"""poll: one device, once."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text as Line

from agent.app import find_house, poll_configured, poll_stranger
from agent.cli.common import (
    DEFAULT_CONFIG,
    ConfigFile,
    Output,
    OutputOption,
    configured,
    console,
    daemon_runs,
    fail,
    run_async,
    table,
    through_daemon,
)
from agent.model import Credential, Device, HttpCredential, Secret, SnmpCredential, TlsMode, TlsPolicy
from config.secrets import SecretError, read_secret_file
from config.values import parse_host

NAMED = 20
"""Devices named in an error at most."""


_AT_HAND = {
    "host": "--host",
    "port": "--port",
    "scheme": "--scheme",
    "username": "--username",
    "password_file": "--password-file",
    "snmp_port": "--snmp-port",
    "snmp_community_file": "--snmp-community-file",
    "snmp_user": "--snmp-user",
    "snmp_auth_file": "--snmp-auth-file",
    "snmp_priv_file": "--snmp-priv-file",
    "snmp_auth": "--snmp-auth",
    "snmp_priv": "--snmp-priv",
    "ssh_port": "--ssh-port",
    "tls": "--tls",
    "timeout": "--timeout",
}
"""What describes a device at hand; one of the configuration is described there."""


def poll(
    context: typer.Context,
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="Id of a device of the configuration.")] = "",
    config: ConfigFile = DEFAULT_CONFIG,
    vendor: Annotated[str, typer.Option(metavar="VENDOR", help="Poll one device at hand, without a configuration: its vendor.")] = "",
    host: Annotated[str, typer.Option(metavar="HOST", help="Its address or name.")] = "",
    port: Annotated[int | None, typer.Option(metavar="PORT", min=1, max=65535, help="Port of its web interface; without it the scheme's own.")] = None,
    scheme: Annotated[str, typer.Option(metavar="https|http", help="How its web interface is spoken to.")] = "https",
    username: Annotated[str, typer.Option(metavar="NAME", help="Account for its web interface and SSH.")] = "",
    password_file: Annotated[Path | None, typer.Option(metavar="FILE", help="File with the account's password, mode 0600.")] = None,
    snmp_port: Annotated[int, typer.Option(metavar="PORT", min=1, max=65535, help="Port of its SNMP agent.")] = 161,
    snmp_community_file: Annotated[Path | None, typer.Option(metavar="FILE", help="SNMP v2c: file with the community.")] = None,
    snmp_user: Annotated[str, typer.Option(metavar="NAME", help="SNMP v3: user.")] = "",
    snmp_auth_file: Annotated[Path | None, typer.Option(metavar="FILE", help="SNMP v3: file with the authentication password.")] = None,
    snmp_priv_file: Annotated[Path | None, typer.Option(metavar="FILE", help="SNMP v3: file with the encryption password.")] = None,
    snmp_auth: Annotated[str, typer.Option(metavar="NAME", help="SNMP v3: md5, sha1, sha256 or sha512.")] = "sha256",
    snmp_priv: Annotated[str, typer.Option(metavar="NAME", help="SNMP v3: des, aes128 or aes256.")] = "aes128",
    ssh_port: Annotated[int, typer.Option(metavar="PORT", min=1, max=65535, help="Port of its SSH server.")] = 22,
    tls: Annotated[
        str,
        typer.Option(
            metavar="insecure|tofu|pin:SHA256|ca:FILE",
            help="How its certificate is trusted. Without it any will do where no account is given; else the poll names the fingerprint and sends nothing.",
        ),
    ] = "",
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=0.1, max=600, help="Longest wait for one answer.")] = 10.0,
    output: OutputOption = Output.TEXT,
) -> None:
    """Poll one device once and print what it says: one of the configuration (DEVICE), or one at hand (--vendor and --host).

    Exit code 0: polled, if only in part; 1: nothing could be read; 2: wrong usage or configuration.
    """
    given = [option for name, option in _AT_HAND.items() if _is_given(context, name)]
    if bool(vendor) == bool(device):
        fail("latarnik poll: give either DEVICE, for one of the configuration, or --vendor VENDOR --host HOST, for a device at hand", 2)
    if device:
        if given:
            fail(f"latarnik poll: {', '.join(given)} belongs to --vendor; of {device!r} the configuration tells it", 2)
        report, read = _configured(config, device)
    else:
        if _is_given(context, "config"):
            fail("latarnik poll: --config belongs to DEVICE; a device at hand is polled without a configuration", 2)
        house = find_house()
        if vendor not in house.collectors:
            fail(f"latarnik poll: no vendor {vendor!r}; there are {', '.join(house.collectors)}", 2)
        if scheme not in ("https", "http"):
            fail("latarnik poll: --scheme is https or http", 2)
        if tls and scheme == "http":
            fail("latarnik poll: --tls belongs to --scheme https", 2)
        snmp = _Snmp(snmp_community_file, snmp_user, snmp_auth, snmp_auth_file, snmp_priv, snmp_priv_file)
        address = _host(host)
        stranger = Device(
            id=address,
            vendor=vendor,
            host=address,
            port=port,
            scheme=scheme,
            snmp_port=snmp_port,
            ssh_port=ssh_port,
            credentials=_credentials(username, password_file, snmp),
            tls=_tls(tls, secret=bool(username)),
            settings=house.collectors[vendor].settings(),
        )
        report, read = run_async(poll_stranger(stranger, house, timeout))
    if output is Output.JSON:
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        _print(report)
    raise typer.Exit(0 if read else 1)


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether a person wrote this option; a default and an environment variable are not meant."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _host(text: str) -> str:
    if not text:
        fail("latarnik poll: --host is missing", 2)
    try:
        return parse_host(text)
    except ValueError as error:
        fail(f"latarnik poll: --host {text!r}: {error}", 2)


def _configured(config: Path, device: str) -> tuple[dict[str, Any], bool]:
    settings, house = configured(config)
    known = [d.id for d in settings.devices if d.host]
    part = next((d for d in settings.devices if d.id == device and not d.host), None)
    if part is not None:
        fail(f"latarnik poll: {device!r} has no address of its own; it is polled with {part.parent!r}, on which it hangs", 2)
    if device not in known:
        more = ", ..." if len(known) > NAMED else ""
        fail(f"latarnik poll: {config} has no device {device!r}; it has {', '.join(known[:NAMED])}{more}", 2)
    if daemon_runs(settings):
        # The daemon holds the device's one management session, so it does the polling.
        answer = through_daemon(settings, "poll", device)
        return answer["report"], answer["read"]
    return run_async(poll_configured(settings, house, device))


@dataclass(frozen=True, slots=True)
class _Snmp:
    community_file: Path | None
    user: str
    auth: str
    auth_file: Path | None
    priv: str
    priv_file: Path | None


def _secret(path: Path, option: str) -> Secret:
    try:
        return Secret(read_secret_file(path).reveal())
    except SecretError as error:
        fail(f"latarnik poll: {option}: {error}", 2)


def _credentials(username: str, password_file: Path | None, snmp: _Snmp) -> dict[str, Credential]:
    found: dict[str, Credential] = {}
    if bool(username) != bool(password_file):
        fail("latarnik poll: --username and --password-file go together", 2)
    if username and password_file:
        found["http"] = HttpCredential(name="command line", username=username, password=_secret(password_file, "--password-file"))
    if (snmp.auth_file or snmp.priv_file) and not snmp.user:
        fail("latarnik poll: --snmp-auth-file and --snmp-priv-file belong to --snmp-user", 2)
    if snmp.community_file and snmp.user:
        fail("latarnik poll: give either --snmp-community-file (v2c) or --snmp-user (v3)", 2)
    if snmp.community_file:
        found["snmp"] = SnmpCredential(name="command line", snmp_version=2, community=_secret(snmp.community_file, "--snmp-community-file"))
    if snmp.user:
        if snmp.auth not in ("md5", "sha1", "sha256", "sha512") or snmp.priv not in ("des", "aes128", "aes256"):
            fail("latarnik poll: --snmp-auth is md5, sha1, sha256 or sha512; --snmp-priv is des, aes128 or aes256", 2)
        if snmp.priv_file and not snmp.auth_file:
            fail("latarnik poll: --snmp-priv-file needs --snmp-auth-file: SNMP v3 encrypts only what it signs", 2)
        found["snmp"] = SnmpCredential(
            name="command line",
            snmp_version=3,
            user=snmp.user,
            auth=snmp.auth if snmp.auth_file else "",
            auth_key=_secret(snmp.auth_file, "--snmp-auth-file") if snmp.auth_file else Secret(""),
            priv=snmp.priv if snmp.priv_file else "",
            priv_key=_secret(snmp.priv_file, "--snmp-priv-file") if snmp.priv_file else Secret(""),
        )
    return found


def _tls(word: str, *, secret: bool) -> TlsPolicy:  # noqa: RET503 - `fail` never returns
    """Without --tls: any certificate when there is nothing secret to send, else none: the error then names the fingerprint to pin."""
    if not word:
        return TlsPolicy(mode=TlsMode.ENROL if secret else TlsMode.INSECURE)
    if word in ("insecure", "tofu"):
        return TlsPolicy(mode=TlsMode(word))
    kind, _, value = word.partition(":")
    if kind == "pin":
        digits = value.replace(":", "").lower()
        if len(digits) == 64 and all(ch in "0123456789abcdef" for ch in digits):
            return TlsPolicy(mode=TlsMode.PIN, sha256=digits)
        fail("latarnik poll: --tls pin: needs a SHA-256 fingerprint of 64 hex digits", 2)
    if kind == "ca" and value:
        if not Path(value).is_file():
            fail(f"latarnik poll: --tls ca: {value} is no file", 2)
        return TlsPolicy(mode=TlsMode.CA, ca_file=Path(value))
    fail("latarnik poll: --tls is insecure, tofu, pin:SHA256 or ca:FILE", 2)


def _print(report: dict[str, Any]) -> None:
    """For people. What a device says is printed as text, never as markup."""
    out = console()
    identity = report["identity"]
    out.print(Line(f"{report['device']}: " + ("answers" if report["reachable"] else "does not answer")))
    for word in ("vendor", "model", "serial", "firmware", "hardware", "mac", "name"):
        out.print(Line(f"  {word:<9} {identity[word] or '(not known)'}"))
    for fault in report["faults"]:
        what = f"{fault['code']} {fault['component']}".rstrip()
        out.print(Line(f"  fault     {fault['severity']} {what}: {fault['summary']}", style="bold red"))
    for what, sources in _grouped(report["errors"]).items():
        out.print(Line(f"  failed    {', '.join(sources)}: {what}", style="yellow"))
    if report["facets"]:
        out.print(Line("  facets    " + ", ".join(f"{name} {status}" for name, status in report["facets"].items())))
    if report["components"]:
        out.print()
        parts = table("part", "kind", "serial", "firmware", "state")
        for part in report["components"]:
            parts.add_row(*(Line(str(part[k])) for k in ("name", "kind", "serial", "firmware", "state")))
        out.print(parts)
    if report["readings"]:
        out.print()
        values = table("reading", "labels", "value")
        for reading in report["readings"]:
            labels = " ".join(f"{k}={v}" for k, v in reading["labels"].items() if v)
            values.add_row(Line(reading["name"].removeprefix("latarnik_")), Line(labels), Line(_value(reading["name"], reading["value"])))
        out.print(values)


def _grouped(errors: Iterable[Mapping[str, str]]) -> dict[str, list[str]]:
    """What failed, with everything it was the end of: a device that is away is said once, not once a facet."""
    found: dict[str, list[str]] = {}
    for error in errors:
        found.setdefault(f"{error['reason']}: {error['detail']}", []).append(error["source"])
    return found


def _value(name: str, value: float) -> str:
    """A number as people read it: times as times, counts in full."""
    if name.endswith("_timestamp_seconds"):
        return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return str(int(value)) if math.isfinite(value) and value == int(value) else f"{value:.6g}"
