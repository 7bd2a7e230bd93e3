"""Vendors and desks as plugins bring them, and a folder with what a config needs around it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from config.load import load
from config.settings import Settings
from config.values import Duration


class Axis(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    pictures: bool = False
    firmware: dict[str, str] = {}
    expect_storage: list[str] = []


class Poly(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    gateway: str = ""
    idle: Duration = 600.0


class Strict(BaseModel):
    """A vendor with a key that must be given somewhere."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    zone: str
    level: Literal["low", "high"] = "low"


class Rt(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    token_file: str
    queue: str


class Mail(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    to: list[str]
    sender: str = Field(alias="from")
    smtp: str
    password_env: str = ""


VENDORS: Mapping[str, type[BaseModel]] = {"axis": Axis, "poly": Poly, "toy": Strict}
DESKS: Mapping[str, type[BaseModel]] = {"rt": Rt, "mail": Mail}
CODES = ("axis.storage.failed", "axis.temperature.high", "poly.peripheral.missing")
TODAY = dt.date(2026, 11, 21)
PASSWORD = "correct-horse-8"


def write_secret(path: Path, text: str = PASSWORD + "\n", mode: int = 0o600) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def load_text(folder: Path, text: str | bytes, environ: Mapping[str, str] | None = None) -> Settings:
    path = folder / "latarnik.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(path, vendors=VENDORS, desks=DESKS, fault_codes=CODES, environ=environ if environ is not None else {"CAMERA_PASSWORD": PASSWORD}, today=TODAY)


def read_cases(name: str) -> dict[str, tuple[str, list[str]]]:
    """The cases of this file beside the tests: name → (config, what is said of it, line by line)."""
    cases = {}
    for block in (Path(__file__).parent / name).read_text(encoding="utf-8").split("\n=== ")[1:]:
        title, _, rest = block.partition("\n")
        text, _, said = f"\n{rest}".partition("\n>>>\n")
        cases[title] = (text.removeprefix("\n") + "\n" if text else "", said.strip().splitlines())
    return cases
