"""The older interfaces: text and XML, by GET."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from xml.sax.saxutils import quoteattr

from aiohttp import web

from simulator.axis import params, report, rest, sip
from simulator.axis.auth import Role
from simulator.axis.call import SERVER, Call, Cgi, page, text, xml
from simulator.axis.product import Product
from simulator.axis.state import Disk

_CHUNK = 16 * 1024


async def _param(call: Call) -> web.StreamResponse:
    state = call.state
    fields = {**call.request.query}
    if call.request.method == "POST":
        fields |= {name: value for name, value in (await call.request.post()).items() if isinstance(value, str)}
    action = fields.get("action", "")
    if action == "list":
        groups = [group for group in fields.get("group", "").split(",") if group]
        return text(params.listing(call.parameters(), groups, call.role, as_asked=state.product.generation.names_as_asked), state=state)
    if action == "update":
        call.require(Role.OPERATOR)
        state.counters.changes["param.cgi update"] += 1
        known = call.parameters()
        for name, value in fields.items():
            bare = name.removeprefix("root.")
            if bare in {"action", "group", "responseformat", "usergroup"}:
                continue
            if bare not in known or not params.readable(bare, call.role):
                return text(f"# Error: Error setting '{name}' to '{value}'!\n", state=state)
            state.parameters[bare] = value
        return text("OK\n", state=state)
    return text("# Error: Unknown action\n", state=state)


async def _user_group(call: Call) -> web.StreamResponse:
    """Two lines: the caller's name and groups."""
    groups = {
        Role.VIEWER: "viewer",
        Role.OPERATOR: "operator viewer",
        Role.ADMINISTRATOR: "admin operator viewer ptz",
    }[call.role]
    return text(f"{call.user}\n{'root ' if call.user == 'root' else ''}{groups}\n", state=call.state)


async def _temperature(call: Call) -> web.StreamResponse:
    """`action=statusall`. Status words beside Stopped and Running are documented, never recorded."""
    state, product = call.state, call.state.product
    if call.query("action") != "statusall":
        return text("Error: missing or unknown action\n", state=state)
    lines: list[str] = []
    for number, sensor in enumerate(product.sensors):
        celsius = state.celsius(number)
        lines += [
            f"Sensor.S{number}.Name={sensor.name}",
            f"Sensor.S{number}.Celsius={celsius:.2f}",
            f"Sensor.S{number}.Fahrenheit={celsius * 9 / 5 + 32:.2f}",
        ]
    for number in range(product.heaters):
        status = "Heater Failure" if state.heater_failed(number) else "Running[40%]" if state.heater_running(number) else "Stopped"
        lines += [f"Heater.H{number}.Status={status}", f"Heater.H{number}.TimeUntilStop=0"]
    for number in range(product.fans):
        status = "Fan Failure" if state.fan_failed(number) else "Running" if state.fan_running(number) else "Stopped"
        lines += [f"Fan.F{number}.Status={status}", f"Fan.F{number}.TimeUntilStop=0"]
    return text("\n".join(lines) + "\n", state=state, html=product.generation.name.startswith("11"))


def _attributes(values: Mapping[str, object]) -> str:
    return " ".join(f"{name}={quoteattr(str(value))}" for name, value in values.items())


def _error_xml(code: int, description: str) -> str:
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<root>\n'
        f"<GeneralError><ErrorCode>{code}</ErrorCode><ErrorDescription>{description}</ErrorDescription></GeneralError>\n</root>\n"
    )


def _chosen(call: Call) -> list[Disk] | None:
    """The disks that are asked for; None for a name that no disk has."""
    wanted = call.query("diskid", "all")
    disks = [disk for disk in call.state.disks() if wanted in {"all", disk.id}]
    return disks or None


async def _disks(call: Call) -> web.StreamResponse:
    disks = _chosen(call)
    if "diskid" not in call.request.query or disks is None:
        return xml(_error_xml(10, "diskid is missing or unknown"))
    encryption = call.state.product.generation.apis.get("api-discovery") is not None
    rows = []
    for disk in disks:
        values: dict[str, object] = {
            "diskid": disk.id,
            "name": "",
            "totalsize": disk.size,
            "freesize": disk.free,
            "cleanuplevel": 90,
            "cleanupmaxage": 7,
            "cleanuppolicy": "fifo",
            "locked": "no",
            "full": "yes" if disk.full else "no",
            "readonly": "yes" if disk.readonly else "no",
            "status": disk.state.value,
            "filesystem": disk.file_system,
            "group": disk.group,
            "requiredfilesystem": "none",
        }
        if encryption:
            values |= {"encryptionenabled": "false", "diskencrypted": "no"}
        rows.append(f"<disk {_attributes(values)}/>")
    body = f'<disks numberofdisks="{len(rows)}">\n' + "\n".join(rows) + "\n</disks>"
    return xml(f'<?xml version="1.0" encoding="ISO-8859-1"?>\n<root>\n{body}\n</root>\n')


async def _disk_health(call: Call) -> web.StreamResponse:
    """Attributes and sentinels (-1 unsupported, -2 error, -3 not present; kelvin) are documented; no answer was ever recorded."""
    disks = _chosen(call)
    if disks is None:
        return xml(_error_xml(10, "the disk is unknown"))
    rows = []
    for disk in disks:
        values = {"diskid": disk.id, "wear": disk.wear, "temperature": disk.kelvin, "overallhealth": disk.verdict}
        rows.append(f"<HealthStatus {_attributes(values)}/>")
    return xml('<?xml version="1.0" encoding="ISO-8859-1"?>\n<root>\n<DiskHealth>\n' + "\n".join(rows) + "\n</DiskHealth>\n</root>\n")


async def _applications(call: Call) -> web.StreamResponse:
    """`LicenseExpirationDate` is documented, and its form YYYY-MM-DD our guess."""
    rows: list[dict[str, str]] = []
    for number, name in enumerate(call.state.product.apps):
        if not (status := call.state.application(name)):
            continue
        licence = {"License": "None"}
        if name == "loiteringguard":
            faults = call.state.faults
            ends = call.state.clock.now() + timedelta(days=-1 if "app_licence_expired" in faults else 10 if "app_licence_expiring" in faults else 400)
            licence = {"License": "Invalid" if "app_licence_expired" in faults else "Valid", "LicenseExpirationDate": f"{ends:%Y-%m-%d}"}
        rows.append(
            {
                "Name": name,
                "NiceName": _APPLICATIONS[name],
                "Vendor": "Axis Communications",
                "Version": "4.5-4",
                **({"ApplicationID": str(143440 + number)} if number == 0 else {}),
                **licence,
                "Status": status,
                "ConfigurationPage": f"local/{name}/config.html",
                "VendorHomePage": "http://www.axis.com",
                "LicenseName": "Proprietary",
            }
        )
    body = "\n".join(f" <application {_attributes(row)} />" for row in rows)
    return xml(f'<reply result="ok">\n{body}\n</reply>\n')


_APPLICATIONS = {
    "vmd": "AXIS Video Motion Detection",
    "loiteringguard": "AXIS Loitering Guard",
    "AXISImageHealthAnalytics": "AXIS Image Health Analytics",
}


async def _system_log(call: Call) -> web.StreamResponse:
    """A word to look for is taken from 11.11 on; before, it is not looked at."""
    word = call.query("text") if call.state.product.generation.log_filter else ""
    return text(report.log_text(call.state, word), state=call.state)


async def _audit_log(call: Call) -> web.StreamResponse:
    """The last lines; `tail` says how many. The form of the lines is ours."""
    tail = call.query("tail", "100")
    if not tail.isdecimal():
        return text("Error: tail is not a number\n", state=call.state, status=400)
    return text(report.audit_text(call.state, int(tail)), state=call.state)


async def _stream_token(call: Call) -> web.StreamResponse:
    """A token that opens one event stream, within fifteen seconds."""
    return text(call.token() + "\n", state=call.state)


async def _server_report(call: Call) -> web.StreamResponse:
    """Takes its time, and comes in pieces. A product without a camera answers zip_with_image with a sentence in a 200."""
    counters = call.state.counters
    mode = call.query("mode", "text")
    counters.reports += 1
    counters.reports_running += 1
    counters.reports_at_once = max(counters.reports_at_once, counters.reports_running)
    try:
        if mode == "text":
            body, media_type, name = report.report_text(call).encode(), "text/plain", "serverreport.txt"
        elif mode == "zip" or (mode == "zip_with_image" and call.state.product.video):
            body, media_type, name = await asyncio.to_thread(report.report_zip, call, picture=mode != "zip"), "application/zip", "serverreport.zip"
        else:
            await call.state.clock.sleep(call.state.tuning.report / 2)
            return text(f"Error: mode {mode} is not supported\n", state=call.state)
        return await _stream(call, body, media_type, f"{call.state.serial}_{name}")
    finally:
        counters.reports_running -= 1


async def _stream(call: Call, body: bytes, media_type: str, name: str) -> web.StreamResponse:
    """Chunked; most of the time passes before the first byte, as where the device collects its logs first."""
    delay = call.state.tuning.report
    await call.state.clock.sleep(delay * 0.8)
    response = web.StreamResponse(headers={**SERVER, "Content-Type": media_type, "Content-Disposition": f'attachment; filename="{name}"'})
    response.enable_chunked_encoding()
    await response.prepare(call.request)
    chunks = range(0, len(body), _CHUNK)
    for at in chunks:
        await response.write(body[at : at + _CHUNK])
        if delay:
            await call.state.clock.sleep(delay * 0.2 / len(chunks))
    await response.write_eof()
    return response


async def _restart(call: Call) -> web.StreamResponse:
    call.state.counters.changes["restart.cgi"] += 1
    call.restart()
    return page("Restart", "The device restarts.", state=call.state, status=200)


async def _reset(call: Call) -> web.StreamResponse:
    call.state.counters.changes[call.request.path.rpartition("/")[2]] += 1
    call.reset()
    return page("Factory default", "The device is restored.", state=call.state, status=200)


async def _picture(call: Call) -> web.StreamResponse:
    return web.Response(body=report.jpeg(seed=call.state.serial), content_type="image/jpeg", headers=SERVER)


def _storage(product: Product) -> bool:
    return product.has("disk-management")


_ADMIN_PATHS = ("/axis-cgi/serverreport.cgi", "/axis-cgi/systemlog.cgi", "/axis-cgi/param.cgi", "/axis-cgi/restart.cgi")


def _table() -> dict[str, Cgi]:
    admin = Role.ADMINISTRATOR
    table = {
        "/axis-cgi/param.cgi": Cgi(answer=_param, level=Role.VIEWER),
        "/axis-cgi/usergroup.cgi": Cgi(answer=_user_group, level=Role.VIEWER),
        "/axis-cgi/jpg/image.cgi": Cgi(answer=_picture, level=Role.VIEWER, offered=lambda product: product.video),
        "/axis-cgi/temperaturecontrol.cgi": Cgi(answer=_temperature, level=Role.OPERATOR, offered=lambda product: product.has("temperaturecontrol")),
        "/axis-cgi/disks/list.cgi": Cgi(answer=_disks, level=Role.OPERATOR, offered=_storage),
        "/axis-cgi/disks/gethealth.cgi": Cgi(
            answer=_disk_health, level=Role.OPERATOR, offered=lambda product: _storage(product) and product.generation.disk_health
        ),
        "/axis-cgi/applications/list.cgi": Cgi(answer=_applications, level=admin, offered=lambda product: product.has("packagemanager")),
        "/axis-cgi/systemlog.cgi": Cgi(answer=_system_log, level=admin),
        "/axis-cgi/serverreport.cgi": Cgi(answer=_server_report, level=admin),
        "/axis-cgi/restart.cgi": Cgi(answer=_restart, level=admin),
        "/axis-cgi/factorydefault.cgi": Cgi(answer=_reset, level=admin),
        "/axis-cgi/hardfactorydefault.cgi": Cgi(answer=_reset, level=admin),
        "/axis-cgi/auditlog.cgi": Cgi(answer=_audit_log, level=admin, offered=lambda product: product.has("audit-log")),
        "/axis-cgi/wssession.cgi": Cgi(answer=_stream_token, level=Role.OPERATOR, offered=lambda product: product.has("event-streaming-over-websocket")),
    }
    for path in _ADMIN_PATHS:  # where 5.x had them; they stayed for years
        old = path.replace("/axis-cgi/", "/axis-cgi/admin/")
        table[old] = Cgi(answer=table[path].answer, level=admin, offered=lambda product: "api-discovery" not in product.generation.apis)
    return table | rest.PATHS | sip.PATHS


CGIS: Mapping[str, Cgi] = _table()
