"""The command line: what each command prints.

The commands and their texts are those of the RealPresence Group Series, of whose family the VideoOS shell is; `uptime get`, `version`, `serialnum`,
`getcallstate` and `recentcalls` are worded after its guide and were never recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from simulator.poly import payloads
from simulator.poly.state import Box

NOT_FOUND = "error: command not found"
NEEDS_MORE = "error: command needs more parameters to execute successfully"
ILLEGAL = "error: command has illegal parameters"
NOT_SUPPORTED = "error: this command is not supported"

_TOPICS = frozenset({"sysstatus", "sysalerts", "callstatus", "linestatus", "mutestatus"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a command prints. `changes`: it would alter the device. `ends`: the session closes after it. `reboots`: so does the device."""

    lines: tuple[str, ...] = ()
    changes: bool = False
    ends: bool = False
    reboots: bool = False


def answer(box: Box, line: str) -> Reply:
    """Run one line."""
    words = line.split()
    if not words:
        return Reply()
    command = _COMMANDS.get(words[0].lower())
    return command(box, [w.lower() for w in words[1:]]) if command else Reply(lines=(NOT_FOUND,))


def whoami(box: Box) -> tuple[str, ...]:
    """The banner after login and the answer to `whoami`; `SNMP Enabled` is its last line."""
    return (
        f"Hi, my name is : {box.room_name}",
        f"Model: {box.profile.model}",
        f"Serial Number: {box.serial}",
        f"Software Version: {box.firmware.version}",
        f"Build Information: {box.firmware.build}",
        "Time In Last Call: 0:00:00",
        "Total Time In Calls: 12:31:07",
        "Total Calls: 48",
        f"SNTP Time Service: {'failed' if box.has('time_server_down') else 'auto insync ntp.example.org'}",
        f"Local Time is: {box.system_time:%a, %d %b %Y %H:%M:%S +0000}",
        f"H323 Enabled: {payloads.sip_in_use(box)}",
        f"HTTP Enabled: {not box.has('web_off')}",
        "SNMP Enabled: False",
    )


def _whoami(box: Box, _words: list[str]) -> Reply:
    return Reply(lines=whoami(box))


def _status(box: Box, words: list[str]) -> Reply:
    """Online or offline of each subsystem. Rows that say `unknown` over REST are offline here."""
    if words:
        return Reply(lines=(ILLEGAL,))
    shown = {"mr.audio": "microphones", "mr.camera": "cameras"}
    good = frozenset({"up", "all_up", "some_up", "full"})
    rows = [("inacall", box.call_since is not None)] + [(shown.get(name, name), word in good) for name, _, word in payloads.status_rows(box)]
    return Reply(lines=(*(f"{name} {'online' if up else 'offline'}" for name, up in rows), "status end"))


def _uptime(box: Box, words: list[str]) -> Reply:
    if words != ["get"]:
        return Reply(lines=(NEEDS_MORE if not words else ILLEGAL,))
    minutes, seconds = divmod(int(box.uptime), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return Reply(lines=(f"{days} Day{'' if days == 1 else 's'}, {hours} Hours, {minutes} Minutes, {seconds} Seconds.",))


def _systemsetting(box: Box, words: list[str]) -> Reply:
    values = {"model": box.profile.model, "sipregistrarserver": "192.0.2.64" if payloads.sip_in_use(box) else ""}
    values |= {f"modelcamera{n}": "" for n in range(1, 6)}
    values["modelcamera1"] = box.profile.camera or ("PolyStudioE70" if box.e70_there else "")
    if len(words) < 2:
        return Reply(lines=(NEEDS_MORE,))
    if words[0] != "get":
        return Reply(lines=(ILLEGAL,), changes=True)
    return Reply(lines=(f"systemsetting {words[1]} {values[words[1]]}",)) if words[1] in values else Reply(lines=(ILLEGAL,))


def _call_info(box: Box, words: list[str]) -> Reply:
    if not words:
        return Reply(lines=(NEEDS_MORE,))
    if words != ["all"]:
        return Reply(lines=(ILLEGAL,))
    if box.call_since is None:
        return Reply(lines=("system is not in a call",))
    muted = "muted" if box.muted else "notmuted"
    return Reply(lines=("callinfo begin", f"callinfo:0:hall:hall@meet.example.org:1920:connected:{muted}:outgoing:videocall", "callinfo end"))


def _call_state(box: Box, _words: list[str]) -> Reply:
    if box.call_since is None:
        return Reply(lines=("system is not in a call",))
    return Reply(lines=("cs: call[0] speed[1920] dialstr[hall@meet.example.org] state[connected]",))


def _net_stats(box: Box, _words: list[str]) -> Reply:
    if box.call_since is None:
        return Reply(lines=("system is not in a call",))
    return Reply(
        lines=(
            "call:0 txrate:1920 K rxrate:1920 K pktloss:0 %pktloss:0.0 %",
            "tvp:H.264 rvp:H.264 tvf:1920x1080 rvf:1920x1080 tap:G.722.1C rap:G.722.1C tcp:SIP rcp:SIP",
        )
    )


def _advanced_net_stats(box: Box, _words: list[str]) -> Reply:
    if box.call_since is None:
        return Reply(lines=("system is not in a call",))
    return Reply(
        lines=(
            "call:0 tar:48 K rar:48 K tvr:1872 K rvr:1872 K",
            "tvru:1728 K rvru:1730 K tvfr:30 rvfr:30 vfe:0",
            "tapl:0 rapl:0 taj:3 ms raj:3 ms tvpl:0 rvpl:0",
            "tvj:4 ms rvj:4 ms dc:Disabled rsid:hall@meet.example.org ccaps:---",
        )
    )


def _mute(box: Box, words: list[str]) -> Reply:
    match words:
        case ["near", "get"]:
            return Reply(lines=(f"mute near {'on' if box.muted else 'off'}",))
        case ["near", "on" | "off" | "toggle" as wish]:
            box.muted = not box.muted if wish == "toggle" else wish == "on"
            return Reply(lines=(f"mute near {'on' if box.muted else 'off'}",), changes=True)
        case [] | ["near"]:
            return Reply(lines=(NEEDS_MORE,))
        case _:
            return Reply(lines=(ILLEGAL,))


def _volume(box: Box, words: list[str]) -> Reply:
    match words:
        case ["get"]:
            return Reply(lines=(f"volume {box.volume}",))
        case ["set", number] if number.isdigit():
            box.volume = min(100, int(number))
            return Reply(lines=(f"volume {box.volume}",), changes=True)
        case [] | ["set"]:
            return Reply(lines=(NEEDS_MORE,))
        case _:
            return Reply(lines=(ILLEGAL,))


def _subscription(verb: str, past: str) -> Callable[[Box, list[str]], Reply]:
    def run(_box: Box, words: list[str]) -> Reply:
        if not words:
            return Reply(lines=(NEEDS_MORE,))
        return Reply(lines=(f"{verb} {words[0]} {past}",)) if words[0] in _TOPICS else Reply(lines=(ILLEGAL,))

    return run


def _system_info(_box: Box, words: list[str]) -> Reply:
    if not words:
        return Reply(lines=(NEEDS_MORE,))
    known = {"get": "sysinfo unregistered", "register": "sysinfo registered", "unregister": "sysinfo unregistered"}
    return Reply(lines=(known.get(words[0], ILLEGAL),))


def _get_only(value: Callable[[Box], str]) -> Callable[[Box, list[str]], Reply]:
    """A setting that is read with `<command> get`; anything longer tries to set it, which is refused and counted."""

    def run(box: Box, words: list[str]) -> Reply:
        match words:
            case ["get"]:
                return Reply(lines=(value(box),))
            case []:
                return Reply(lines=(NEEDS_MORE,))
            case _:
                return Reply(lines=(ILLEGAL,), changes=words[0] == "set")

    return run


def _print(value: Callable[[Box], str]) -> Callable[[Box, list[str]], Reply]:
    return lambda box, words: Reply(lines=(ILLEGAL if words else value(box),))


def _reboot(_box: Box, words: list[str]) -> Reply:
    if not words:
        return Reply(lines=(NEEDS_MORE,))
    return Reply(changes=True, ends=True, reboots=True) if words == ["now"] else Reply(lines=(ILLEGAL,))


def _reset(_box: Box, _words: list[str]) -> Reply:
    return Reply(changes=True, ends=True, reboots=True)


def _hang_up(box: Box, words: list[str]) -> Reply:
    if not words:
        return Reply(lines=(NEEDS_MORE,))
    was_in_call, box.call_since = box.call_since is not None, None
    box.faults.discard("in_call")
    return Reply(lines=("hanging up all" if was_in_call else "system is not in a call",), changes=True)


_COMMANDS: Mapping[str, Callable[[Box, list[str]], Reply]] = {
    "whoami": _whoami,
    "status": _status,
    "uptime": _uptime,
    "version": _print(lambda box: f"version {box.firmware.version}-{box.firmware.build}"),
    "serialnum": _print(lambda box: f"serialnum {box.serial}"),
    "systemname": _get_only(lambda box: f'systemname "{box.room_name}"'),
    "systemsetting": _systemsetting,
    "ipaddress": _get_only(lambda box: f"ipaddress {box.address}"),
    "hostname": _get_only(lambda box: f"hostname {box.room_name}"),
    "lanport": _get_only(lambda _: "lanport auto"),
    "gatekeeperip": _get_only(lambda box: f"gatekeeperip {'192.0.2.64' if payloads.sip_in_use(box) else ''}"),
    "ntpserver": _get_only(lambda _: "ntpserver ntp.example.org"),
    "provisionserverstatus": _get_only(lambda box: f"provisionserverstatus {'down' if box.has('provisioning_down') else 'inactive'}"),
    "calendarstatus": _get_only(lambda _: "calendarstatus unavailable"),
    "loglevel": _get_only(lambda _: "loglevel debug"),
    "callinfo": _call_info,
    "getcallstate": _call_state,
    "netstats": _net_stats,
    "advnetstats": _advanced_net_stats,
    "recentcalls": _print(lambda _: '"hall" 05/Jan/2026 12:00:00 In'),
    "mute": _mute,
    "volume": _volume,
    "sysinfo": _system_info,
    "notify": _subscription("notify", "success"),
    "nonotify": _subscription("nonotify", "success"),
    "session": lambda _box, words: Reply(lines=("session name not set" if words else NEEDS_MORE,)),
    "gendial": lambda _box, _words: Reply(lines=(NOT_SUPPORTED,)),
    "hangup": _hang_up,
    "reboot": _reboot,
    "resetsystem": _reset,
    "exit": lambda _box, _words: Reply(ends=True),
}
