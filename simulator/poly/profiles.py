"""Models and firmware lines, and how they differ on the wire."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum


class Xsrf(Enum):
    """What the firmware does about the XSRF token (field-proven clients; the versions in between are interpolated)."""

    ABSENT = "no token at all"
    HEADER = "offered as a response header, never asked for"
    EXCEPT_SESSION = "cookie, asked for everywhere but on /rest/session"
    EVERYWHERE = "cookie, asked for on every call of a session, logout included"


class Refusal(Enum):
    """How a wrong password is answered."""

    BAD_REQUEST = "400 SessionRequestInvalid"
    SUCCESS_FALSE = "200 with success false"
    FORBIDDEN = "403 SessionInvalidUserNamePassword"


class Provider(StrEnum):
    """The conferencing application that runs on the box."""

    POLY = "Poly"
    TEAMS = "Microsoft Teams"
    ZOOM = "Zoom Rooms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """One firmware line. `build` numbers of 4.x are made up. `missing`: endpoints (without `/rest`) that answer 404.

    `html_403`: a call without a valid session gets an HTML page instead of JSON. `tail` ends every JSON body, `newline` every line of the shell.
    """

    version: str
    build: str
    xsrf: Xsrf
    refusal: Refusal
    html_403: bool
    tail: str
    newline: str
    calendar_key: str
    quoted_words: bool
    integer_ids: bool
    old_collaboration: bool
    missing: frozenset[str]


V3_10 = Firmware(
    version="3.10.0",
    build="362035",
    xsrf=Xsrf.ABSENT,
    refusal=Refusal.BAD_REQUEST,
    html_403=True,
    tail="\r\n",
    newline="\r\r\n",
    calendar_key="status",
    quoted_words=False,
    integer_ids=False,
    old_collaboration=True,
    missing=frozenset({"/system/apps/state"}),
)
V3_12 = Firmware(
    version="3.12.0",
    build="366027",
    xsrf=Xsrf.HEADER,
    refusal=Refusal.SUCCESS_FALSE,
    html_403=False,
    tail="\r\n",
    newline="\r\r\n",
    calendar_key="status",
    quoted_words=False,
    integer_ids=False,
    old_collaboration=True,
    missing=frozenset({"/system/apps/state"}),
)
V4_4 = Firmware(
    version="4.4.0",
    build="440117",
    xsrf=Xsrf.EXCEPT_SESSION,
    refusal=Refusal.FORBIDDEN,
    html_403=False,
    tail="\r\n",
    newline="\r\n",
    calendar_key="Status",
    quoted_words=True,
    integer_ids=True,
    old_collaboration=False,
    missing=frozenset({"/system/mode/signage"}),
)
V4_6 = Firmware(
    version="4.6.2",
    build="462041",
    xsrf=Xsrf.EVERYWHERE,
    refusal=Refusal.FORBIDDEN,
    html_403=True,
    tail="",
    newline="\r\n",
    calendar_key="status",
    quoted_words=True,
    integer_ids=True,
    old_collaboration=False,
    missing=frozenset({"/system/mode/device", "/system/mode/signage"}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One installation. Model words other than StudioX30 were never recorded; neither was any E70 row.

    `code`: the last two letters of a Poly serial; '' for units with a ten-character HP serial. `panel`: the touch panel's product name or ''.
    `camera`: the built-in camera's model word or ''. `microphones`: (type number, type in words) of each.
    """

    key: str
    model: str
    firmware: Firmware
    code: str
    camera: str
    microphones: tuple[tuple[int, str], ...]
    provider: Provider
    panel: str = ""
    e70: bool = False

    @property
    def has_camera(self) -> bool:
        return bool(self.camera) or self.e70

    @property
    def has_apps_state(self) -> bool:
        return self.provider is not Provider.POLY and "/system/apps/state" not in self.firmware.missing


_BUILT_IN_MIC = ((84, "Polycom Kitten Mic"),)
_TABLE_MICS = ((91, "Poly IP Table Mic"), (91, "Poly IP Table Mic"))

PROFILES: dict[str, Profile] = {
    p.key: p
    for p in (
        Profile(
            key="x30-3.10", model="StudioX30", firmware=V3_10, code="FC", camera="BUILT_IN_1.0", microphones=_BUILT_IN_MIC, provider=Provider.POLY, panel=""
        ),
        Profile(
            key="x30",
            model="StudioX30",
            firmware=V3_12,
            code="FC",
            camera="BUILT_IN_1.0",
            microphones=_BUILT_IN_MIC,
            provider=Provider.POLY,
            panel="Poly TC8",
        ),
        Profile(
            key="x50-tc8",
            model="StudioX50",
            firmware=V4_4,
            code="FB",
            camera="BUILT_IN_1.0",
            microphones=_BUILT_IN_MIC,
            provider=Provider.TEAMS,
            panel="Poly TC8",
        ),
        Profile(
            key="x70", model="StudioX70", firmware=V4_6, code="FE", camera="BUILT_IN_2.0", microphones=_BUILT_IN_MIC, provider=Provider.ZOOM, panel="Poly TC8"
        ),
        Profile(
            key="g7500-e70", model="G7500", firmware=V4_6, code="ED", camera="", microphones=_TABLE_MICS, provider=Provider.POLY, panel="Poly TC8", e70=True
        ),
        Profile(
            key="x52",
            model="StudioX52",
            firmware=V4_6,
            code="",
            camera="BUILT_IN_2.0",
            microphones=_BUILT_IN_MIC,
            provider=Provider.TEAMS,
            panel="Poly TC10",
        ),
        Profile(
            key="x72",
            model="StudioX72",
            firmware=V4_6,
            code="",
            camera="BUILT_IN_2.0",
            microphones=_BUILT_IN_MIC,
            provider=Provider.TEAMS,
            panel="Poly TC10",
        ),
        Profile(key="g62", model="StudioG62", firmware=V4_6, code="", camera="", microphones=_TABLE_MICS, provider=Provider.POLY, panel="Poly TC10", e70=True),
    )
}
