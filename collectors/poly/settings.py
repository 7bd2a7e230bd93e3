"""What a site may say of its Poly devices: the `poly:` section of the config and of a device's entry."""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from agent.model import Device

MIB = 1024 * 1024
LOG_BUNDLE_CEILING = 512 * MIB

_WINDOW = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-3]):([0-5]\d)")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?")


class ExpectedPart(BaseModel):
    """A part that must hang on the codec, even if this agent never saw it: by serial, or by a word of its product name."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    serial: str = ""
    model: str = ""

    @model_validator(mode="after")
    def _named(self) -> ExpectedPart:
        if not self.serial and not self.model:
            raise ValueError("an expected part needs `serial` or `model`")
        return self

    @property
    def key(self) -> str:
        """The fault's component: the serial, or the model where no serial is given."""
        return self.serial or self.model


class PolySettings(BaseModel):
    """Settings of one Poly device.

    `expect`: parts that must be there. `gateway`: the address the codec pings for a case. `idle_timeout`: seconds after which the
    device ends an idle management session (its own setting, 10 minutes as delivered). `update_window`: the device's local hours in which
    restarts are updates and not counted as trouble; '' for none. `log_bundle_limit` in bytes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    expect: tuple[ExpectedPart, ...] = ()
    gateway: str = ""
    idle_timeout: Annotated[float, Field(ge=60.0, le=28800.0)] = 600.0
    update_window: str = "01:00-05:00"
    log_bundle_limit: Annotated[int, Field(ge=MIB, le=LOG_BUNDLE_CEILING)] = 256 * MIB

    @field_validator("gateway")
    @classmethod
    def _a_host(cls, value: str) -> str:
        if value and not _HOST.fullmatch(value):
            raise ValueError("must be an IP address or a host name")
        return value

    @field_validator("update_window")
    @classmethod
    def _a_window(cls, value: str) -> str:
        if value and not _WINDOW.fullmatch(value):
            raise ValueError('must be "HH:MM-HH:MM", or "" for none')
        return value

    def window(self) -> tuple[time, time] | None:
        """The update window as (from, to); it may pass midnight."""
        found = _WINDOW.fullmatch(self.update_window)
        if found is None:
            return None
        hours = [int(part) for part in found.groups()]
        return time(hours[0], hours[1]), time(hours[2], hours[3])


def settings_of(device: Device) -> PolySettings:
    """The device's settings; the defaults where the inventory gives none."""
    return device.settings if isinstance(device.settings, PolySettings) else PolySettings()
