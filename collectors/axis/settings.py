"""What a site may say of its Axis devices, under the key `axis:` of the config and of a device's entry."""

from __future__ import annotations

from ipaddress import ip_address

from pydantic import BaseModel, ConfigDict, field_validator

from collectors.axis.firmware import track_of, version_of


class AxisSettings(BaseModel):
    """`firmware`: the version this site wants on each track, `{"11.11": "11.11.192"}`.

    `pictures`: the server report may hold a picture of what the camera sees.
    `expect_storage`: disk ids (`SD_DISK`, `NetworkShare`) that must be there and work, also if we never saw them work.
    `events`: keep a stream open on which the device says at once what happens; about 300 kB of memory a device.
    `expect_apps`: applications that must be installed and run, also if we never saw them run, by the name the device has for them (`vmd`).
    `recorder`: IP address of the recorder that must take this camera's picture at all times.
    `expect_recording`: the device records on its own storage all the time. `expect_day_night`: its day and night mode follows daylight.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    firmware: dict[str, str] = {}
    pictures: bool = False
    expect_storage: list[str] = []
    events: bool = True
    expect_apps: list[str] = []
    recorder: str = ""
    expect_recording: bool = False
    expect_day_night: bool = False

    @field_validator("firmware")
    @classmethod
    def _versions(cls, value: dict[str, str]) -> dict[str, str]:
        for track, target in value.items():
            if not version_of(target):
                raise ValueError(f"{target!r} is no AXIS OS version: write it as the device does, for example 11.11.192")
            if track_of(target) != track:
                raise ValueError(f"version {target!r} is not on track {track!r}: its track is {track_of(target)!r}")
        return value

    @field_validator("expect_storage")
    @classmethod
    def _disks(cls, value: list[str]) -> list[str]:
        if any(not disk.strip() for disk in value):
            raise ValueError("a disk id is empty: write the ids the device uses, for example SD_DISK or NetworkShare")
        return value

    @field_validator("expect_apps")
    @classmethod
    def _apps(cls, value: list[str]) -> list[str]:
        if any(not name.strip() for name in value):
            raise ValueError("the name of an application is empty: write the names the device uses, for example vmd")
        return value

    @field_validator("recorder")
    @classmethod
    def _address(cls, value: str) -> str:
        try:
            return str(ip_address(value)) if value else ""
        except ValueError:
            raise ValueError(f"{value!r} is no IP address: devices name who takes their picture by its address") from None


def settings_of(settings: object) -> AxisSettings:
    """The Axis settings of a device, or the defaults where it has none."""
    return settings if isinstance(settings, AxisSettings) else AxisSettings()
