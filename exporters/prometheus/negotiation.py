"""What a client may be sent, by its Accept and Accept-Encoding headers (RFC 9110, with q values). Pure."""

from __future__ import annotations

from dataclasses import dataclass

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass(frozen=True, slots=True)
class _Range:
    value: str
    parameters: dict[str, str]
    quality: float


def _ranges(header: str) -> list[_Range]:
    found = []
    for item in header.split(","):
        value, *rest = (part.strip() for part in item.split(";"))
        pairs = (part.split("=", 1) for part in rest if "=" in part)
        parameters = {name.strip().lower(): text.strip().strip('"') for name, text in pairs}
        if value:
            found.append(_Range(value.lower(), parameters, _quality(parameters.pop("q", "1"))))
    return found


def _quality(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0.0 <= value <= 1.0 else 0.0


def wants_openmetrics(accept: str) -> bool:
    """Whether OpenMetrics 1.0 is preferred to text 0.0.4. Equal wishes, no header and a header that names neither give text.

    Older versions of OpenMetrics count as 1.0, as they do for Prometheus' own libraries; newer ones are not what we write.
    """
    openmetrics, text = 0.0, 0.0
    text_rank = -1
    for wanted in _ranges(accept):
        if wanted.value == "application/openmetrics-text" and wanted.parameters.get("version", "1.0.0") in ("0.0.1", "1.0.0"):
            openmetrics = max(openmetrics, wanted.quality)
        rank = {"*/*": 0, "text/*": 1, "text/plain": 2}.get(wanted.value, -1)
        if rank < 0 or (rank == 2 and wanted.parameters.get("version", "0.0.4") != "0.0.4"):
            continue
        # The most exact range that names text decides about it.
        if rank > text_rank or (rank == text_rank and wanted.quality > text):
            text, text_rank = wanted.quality, rank
    return openmetrics > text


def wants_gzip(accept_encoding: str) -> bool:
    """Whether the body may be sent as gzip."""
    wishes = {r.value: r.quality for r in _ranges(accept_encoding)}
    return wishes.get("gzip", wishes.get("x-gzip", wishes.get("*", 0.0))) > 0.0
