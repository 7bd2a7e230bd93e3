"""poll: one device, once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text as Line

from agent.app import find_house, poll_configured, poll_stranger
from agent.cli.common import ConfigFile, Output, OutputOption, configured, daemon_runs, fail, run_async, through_daemon
from agent.model import Credential, Device, HttpCredential, Secret, SnmpCredential, TlsMode, TlsPolicy
from config.secrets import SecretError, read_secret_file


def poll(
    device: Annotated[str, typer.Argument(metavar="[DEVICE]", help="Id of a device of the configuration.")] = "",
    config: ConfigFile | None = None,
    vendor: Annotated[str, typer.Option(help="Poll one device at hand, without a configuration: its vendor.")] = "",
    host: Annotated[str, typer.Option(help="Its address.")] = "",
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of its web interface.")] = None,
    scheme: Annotated[str, typer.Option(help="https or http.")] = "https",
    username: Annotated[str, typer.Option(help="Account.")] = "",
    password_file: Annotated[Path | None, typer.Option(metavar="F", help="File with its password, mode 0600.")] = None,
    snmp_port: Annotated[int, typer.Option(min=1, max=65535)] = 161,
    snmp_community_file: Annotated[Path | None, typer.Option(metavar="F", help="SNMP v2c: file with the community.")] = None,
    snmp_user: Annotated[str, typer.Option(help="SNMP v3: user (SHA-256 and AES-128).")] = "",
    snmp_auth_file: Annotated[Path | None, typer.Option(metavar="F", help="SNMP v3: file with the authentication password.")] = None,
    snmp_priv_file: Annotated[Path | None, typer.Option(metavar="F", help="SNMP v3: file with the encryption password.")] = None,
    snmp_auth: Annotated[str, typer.Option(help="SNMP v3: md5, sha1, sha256 or sha512.")] = "sha256",
    snmp_priv: Annotated[str, typer.Option(help="SNMP v3: des, aes128 or aes256.")] = "aes128",
    ssh_port: Annotated[int, typer.Option(min=1, max=65535)] = 22,
    tls: Annotated[str, typer.Option(metavar="insecure|tofu|pin:SHA256|ca:FILE", help="How its certificate is trusted.")] = "",
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for one answer.")] = 10.0,
    output: OutputOption = Output.TEXT,
) -> None:
    """Poll one device once and print what it says. Exit code 0: polled, if only in part; 1: nothing could be read; 2: wrong usage."""
    if bool(vendor) == bool(device):
        fail("latarnik poll: give either a DEVICE with --config FILE, or --vendor V --host H for a device at hand", 2)
    if device:
        report, read = _configured(config, device)
    else:
        house = find_house()
        if vendor not in house.collectors:
            fail(f"latarnik poll: no vendor {vendor!r}; there are {', '.join(house.collectors)}", 2)
        if not host:
            fail("latarnik poll: --host is missing", 2)
        if scheme not in ("https", "http"):
            fail("latarnik poll: --scheme is https or http", 2)
        snmp = _Snmp(snmp_community_file, snmp_user, snmp_auth, snmp_auth_file, snmp_priv, snmp_priv_file)
        stranger = Device(
            id=host,
            vendor=vendor,
            host=host,
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


def _configured(config: Path | None, device: str) -> tuple[dict[str, Any], bool]:
    if config is None:
        fail("latarnik poll: --config FILE is missing", 2)
    settings, house = configured(config)
    known = [d.id for d in settings.devices if d.host]
    if device not in known:
        fail(f"latarnik poll: {config} has no device {device!r} with a host; it has {', '.join(known[:20]) or 'none'}", 2)
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
    console = Console()
    identity = report["identity"]
    console.print(Line(f"{report['device']}: " + ("answers" if report["reachable"] else "does not answer")))
    for word in ("vendor", "model", "serial", "firmware", "hardware", "mac", "name"):
        console.print(Line(f"  {word:<9} {identity[word] or '(not known)'}"))
    for fault in report["faults"]:
        console.print(Line(f"  fault     {fault['severity']} {fault['code']} {fault['component']}: {fault['summary']}", style="bold red"))
    if report["components"]:
        table = Table("kind", "part", "serial", "firmware", "state", box=None, padding=(0, 2))
        for part in report["components"]:
            table.add_row(*(Line(str(part[k])) for k in ("kind", "name", "serial", "firmware", "state")))
        console.print(table)
    table = Table("reading", "labels", "value", box=None, padding=(0, 2))
    for reading in report["readings"]:
        labels = " ".join(f"{k}={v}" for k, v in reading["labels"].items())
        table.add_row(Line(reading["name"].removeprefix("latarnik_")), Line(labels), Line(f"{reading['value']:g}"))
    console.print(table)
    console.print(Line("  facets    " + "  ".join(f"{k} {v}" for k, v in report["facets"].items())))
    for error in report["errors"]:
        console.print(Line(f"  failed    {error['source']}: {error['reason']}: {error['detail']}", style="yellow"))
