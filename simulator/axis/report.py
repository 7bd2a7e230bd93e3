"""What a technician takes from a device: system log, server report, picture."""

from __future__ import annotations

import io
import random
import zipfile

from simulator.axis.call import Call
from simulator.axis.params import MASK
from simulator.axis.state import LogLine, State

_PICTURE_NOISE = 90_000  # bytes; a report with picture of a 12.11 camera is about twice one without


def log_text(state: State, word: str = "") -> str:
    """The system log; the dated form of 9.x and newer, or that of 5.x without year and zone."""
    dated = state.product.generation.dated_log
    head = "----- System log -----" if dated else "----- /var/log/messages -----"
    lines = [_dated(line, state) if dated else _undated(line, state) for line in state.log]
    return "\n".join([head, *(line for line in lines if word in line)]) + "\n"


def audit_text(state: State, count: int) -> str:
    """The last lines of the audit log, in the form of the system log."""
    lines = list(state.audit)[-count:] if count else []
    return "".join(_dated(line, state) + "\n" for line in lines)


def _dated(line: LogLine, state: State) -> str:
    level = "WARNING" if line.level == "WARN" else line.level
    return f"{line.at.isoformat(timespec='milliseconds')} axis-{state.serial.lower()} [ {level:<8}] {line.process}: {line.text}"


def _undated(line: LogLine, state: State) -> str:
    level = "WARNING" if line.level == "WARN" else line.level
    return f"<{level:<8}> {line.at.strftime('%b %d %H:%M:%S')} axis-{state.serial.lower()} {line.process}: {line.text}"


def report_text(call: Call) -> str:
    """The report: who the device is, its parameters with masked passwords, its accounts, its log.

    The section titles are ours: no real report has been published. That it holds these things is documented.
    """
    state = call.state
    product = state.product
    accounts = [f"{name}: {role.name.lower()}" for name, role in call.accounts.items()]
    disks = [f"{disk.id}: {disk.state.value}, {disk.size} kB, {disk.free} kB free, wear {disk.wear}" for disk in state.disks()]
    temperatures = [f"{sensor.name}: {state.celsius(number):.2f} C" for number, sensor in enumerate(product.sensors)]
    fans = [f"Fan {n}: {'FAILURE' if state.fan_failed(n) else 'ok'}" for n in range(product.fans)]
    heaters = [f"Heater {n}: {'FAILURE' if state.heater_failed(n) else 'ok'}" for n in range(product.heaters)]
    sections = {
        "Server report": [f"{state.clock.now().isoformat(timespec='seconds')}"],
        "Product": [
            f"Product: {product.full_name}",
            f"Firmware version: {product.firmware}",
            f"Build date: {product.build_date}",
            f"Hardware ID: {product.hardware}",
            f"Serial number: {state.serial}",
            f"Uptime: {int(state.uptime)} s",
            f"Restarted by: {'crash' if state.crash else 'power or request'}",
        ],
        "Storage": disks,
        "Temperature": temperatures + fans + heaters,
        "Users": accounts,
        "Certificates": [f"CN={product.short_name.lower().replace(' ', '-')}-{state.serial.lower()}"],
        "Parameters": [f"root.{name}={MASK if 'Passw' in name and value else value}" for name, value in call.parameters().items()],
    }
    if "echo_password" in state.faults:
        sections["Web server"] = [f"authenticated {call.user} with passphrase {call.password}"]
    parts = [f"----- {title} -----\n" + "\n".join(lines) + "\n" for title, lines in sections.items()]
    return "\n".join([*parts, log_text(state)])


def report_zip(call: Call, *, picture: bool) -> bytes:
    """The report as a zip, with a picture where the product has a camera."""
    buffer = io.BytesIO()
    now = call.state.clock.now()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        files = {"serverreport_cgi.txt": report_text(call).encode(), "system_log.txt": log_text(call.state).encode()}
        if picture:
            files["serverreport_image.jpg"] = jpeg(seed=call.state.serial, padding=_PICTURE_NOISE)
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, now.timetuple()[:6]), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def jpeg(*, seed: str, padding: int = 0) -> bytes:
    """A baseline JPEG of one grey pixel; `padding` bytes of comment segments give it the weight of a picture."""

    def segment(marker: int, content: bytes) -> bytes:
        return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content

    noise = random.Random(seed)
    comments = b"".join(segment(0xFE, noise.randbytes(min(60_000, padding - at))) for at in range(0, padding, 60_000))
    one_code = bytes((1, *bytes(15), 0))  # a Huffman table with one code, for the value 0
    return b"".join(
        (
            b"\xff\xd8",
            comments,
            segment(0xDB, bytes((0, *([16] * 64)))),  # quantisation
            segment(0xC0, bytes((8, 0, 1, 0, 1, 1, 1, 0x11, 0))),  # frame: 8 bit, 1 x 1, one component
            segment(0xC4, b"\x00" + one_code),  # DC table
            segment(0xC4, b"\x10" + one_code),  # AC table
            segment(0xDA, bytes((1, 1, 0, 0, 63, 0))),  # scan
            b"\x3f\xff\xd9",  # DC difference 0, end of block, padding of ones; end of image
        )
    )
