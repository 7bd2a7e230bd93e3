"""The kinds of values a config key may take: durations, sizes, addresses, dates, names, paths.

Vendors and desks use the same kinds in their own sections: `from config.values import Duration`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema

DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
SIZE_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_DURATION_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|[smhdw])")
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+")
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,3})?) ?([A-Za-z]{1,3})")
_HOST_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_PORT = re.compile(r"[0-9]{1,5}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")


class Section(BaseModel):
    """A mapping of the config: an unknown key is an error, a value of another kind is an error, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def parse_duration(text: str) -> float:
    """Seconds in '30s', '5m', '1h30m', '2d', '250ms'. ValueError says what is right."""
    if not _DURATION.fullmatch(text):
        raise ValueError("must be a duration with its unit, such as 30s, 5m, 1h or 2d")
    return sum(float(number) * DURATION_UNITS[unit] for number, unit in _DURATION_PART.findall(text))


def format_duration(seconds: float) -> str:
    """The shortest writing of a duration: 5400.0 → '1h30m'."""
    left = round(seconds * 1000)
    parts = []
    for unit, factor in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, factor)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_size(text: str) -> int:
    """Bytes in '64MiB', '5 GiB', '500kB'. ValueError says what is right."""
    found = _SIZE.fullmatch(text)
    if not found or found[2] not in SIZE_UNITS:
        raise ValueError("must be a size with its unit, such as 500KiB, 64MiB or 5GiB")
    return int(Decimal(found[1]) * SIZE_UNITS[found[2]])


def format_size(size: int) -> str:
    """The shortest writing of a size: 5368709120 → '5GiB'."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % SIZE_UNITS[unit] == 0:
            return f"{size // SIZE_UNITS[unit]}{unit}"
    return f"{size}B"


def parse_host(text: str) -> str:
    """A host name or an IP address (IPv6 with or without brackets), in the one way it is kept: IPv6 without brackets, compressed."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in bare:
        if "%" in bare:
            raise ValueError("must be an address without a zone (the part from % on): a link-local address cannot be used, write another or a name")
        try:
            return str(ipaddress.IPv6Address(bare))
        except ValueError:
            raise ValueError("must be a host name or an address alone, without scheme and port (those have keys of their own)") from None
    if re.fullmatch(r"[0-9.]+", bare):
        try:
            return str(ipaddress.IPv4Address(bare))
        except ValueError:
            raise ValueError("must be an IPv4 address of four numbers up to 255") from None
    labels = bare.removesuffix(".").split(".")
    if len(bare) > 253 or not all(_HOST_LABEL.fullmatch(label) for label in labels):
        raise ValueError("must be a host name or an address alone, without scheme, port and path")
    return bare.lower()


class HostPort(Section):
    """An address to listen on. IPv6 is written in brackets: `[::1]:9877`."""

    host: str
    port: int

    @property
    def text(self) -> str:
        """As it is written in the config, and after `http://`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_listen(text: str) -> HostPort:
    """'127.0.0.1:9877', '[::1]:9877', 'localhost:9877'; ':9877' is every address of the machine."""
    host, colon, port = text.rpartition(":")
    if not colon or not _PORT.fullmatch(port) or int(port) > 65535 or (":" in host and not host.startswith("[")):
        raise ValueError("must be host:port, such as 127.0.0.1:9877 or [::1]:9877")
    return HostPort(host=parse_host(host) if host else "::", port=int(port))


def parse_date(text: str) -> date:
    """'2026-01-02'. ValueError says what is right."""
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            raise ValueError("is no day of the calendar") from None
    raise ValueError("must be a day written as YYYY-MM-DD, such as 2026-01-31")


def _from_file(info: ValidationInfo) -> bool:
    """Whether a person wrote the value: then a number alone is a mistake. Code may give seconds and bytes as they are."""
    return isinstance(info.context, Mapping) and "base" in info.context


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _duration(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str):
        return parse_duration(value)
    if _number(value) and value != 0 and _from_file(info):
        raise ValueError(f"needs its unit: {value}s, {value}m, {value}h or {value}d")
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _size(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str):
        return parse_size(value)
    if _number(value) and _from_file(info):
        raise ValueError(f"needs its unit: {value}MiB or {value}GiB")
    return value


def _date(value: object) -> object:
    return parse_date(value) if isinstance(value, str) else value


def _listen(value: object) -> object:
    if isinstance(value, HostPort):
        return value
    return parse_listen(value if isinstance(value, str) else "")


def _host(value: object) -> object:
    return parse_host(value) if isinstance(value, str) and value else value


def _address(value: object) -> object:
    if isinstance(value, str) and value:
        host = parse_host(value)
        if ":" not in host and not re.fullmatch(r"[0-9.]+", host):
            raise ValueError("must be an address of this machine, such as 192.0.2.10")
        return host
    return value


def _line(value: object) -> object:
    """Text that becomes a metric label or a mail header holds one line."""
    if isinstance(value, str):
        if _CONTROL.search(value):
            raise ValueError("must be one line, without control characters")
        return value.strip()
    return value


def _path(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str):
        if not value:
            raise ValueError("must not be empty: a path belongs here")
        base = info.context.get("base") if isinstance(info.context, Mapping) else None
        try:
            path = Path(value).expanduser() if value.startswith("~/") else Path(value)
        except RuntimeError:
            raise ValueError("starts with ~/, and this user has no home folder") from None
        return base / path if base is not None else path
    return value


def _several(value: object) -> object:
    return [value] if isinstance(value, str | int | float) else value


def _fingerprint(value: object) -> object:
    if isinstance(value, str):
        plain = re.sub(r"^sha-?256[:=]", "", value.strip().lower()).replace(":", "").replace(" ", "")
        if not re.fullmatch(r"[0-9a-f]{64}", plain):
            raise ValueError("must be a SHA-256 fingerprint: 64 hex digits, colons allowed; latarnik trust shows it")
        return plain
    return value


def _schema(**values: Any) -> WithJsonSchema:
    return WithJsonSchema(values)


Duration = Annotated[float, BeforeValidator(_duration), Field(ge=0), _schema(type="string", title="duration")]
Size = Annotated[int, BeforeValidator(_size), Field(ge=0), _schema(type="string", title="size")]
Day = Annotated[date, BeforeValidator(_date), _schema(type="string", format="date", title="day")]
Listen = Annotated[HostPort, BeforeValidator(_listen), _schema(type="string", title="host:port")]
Host = Annotated[str, BeforeValidator(_host), _schema(type="string", title="host")]
Address = Annotated[str, BeforeValidator(_address), _schema(type="string", title="address")]
Line = Annotated[str, BeforeValidator(_line), Field(max_length=512), _schema(type="string", title="text")]
Port = Annotated[int, Field(ge=1, le=65535)]
FilePath = Annotated[Path, BeforeValidator(_path), _schema(type="string", title="path")]
Fingerprint = Annotated[str, BeforeValidator(_fingerprint), _schema(type="string", title="SHA-256")]
Names = Annotated[tuple[Line, ...], BeforeValidator(_several), Field(strict=False), _schema(type="array", items={"type": "string"}, title="names")]
Name = Annotated[str, Field(pattern=rf"^{NAME.pattern}$"), _schema(type="string", title="name")]
