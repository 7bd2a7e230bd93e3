"""The `poly:` section."""

from __future__ import annotations

from datetime import time
from typing import Any

import pytest
from pydantic import ValidationError

from agent.model import Device
from collectors.poly.settings import PolySettings, settings_of


@pytest.mark.parametrize(
    "wrong",
    [
        {"expct": []},
        {"expect": [{}]},
        {"expect": [{"serial": "", "model": " "}]},
        {"expect": [{"serial": "x", "colour": "red"}]},
        {"gateway": "192.0.2.1; reboot"},
        {"idle_timeout": 5},
        {"update_window": "25:00-05:00"},
        {"update_window": "at night"},
        {"log_bundle_limit": 1 << 40},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PolySettings.model_validate(wrong)


def test_the_defaults_are_those_of_a_device_as_delivered() -> None:
    settings = PolySettings()
    assert (settings.idle_timeout, settings.window(), settings.log_bundle_limit) == (600.0, (time(1), time(5)), 256 << 20)
    assert PolySettings.model_validate({"update_window": ""}).window() is None
    assert PolySettings.model_validate({"gateway": "2001:db8::1"}).gateway == "2001:db8::1"
    assert PolySettings.model_validate({"expect": [{"model": "Studio E70"}]}).expect[0].key == "Studio E70"


def test_a_device_without_the_section_has_the_defaults() -> None:
    assert settings_of(Device(id="a", vendor="poly")) == PolySettings()
