"""Log set-up: readable on a terminal, JSON lines under systemd; standard logging of libraries in the same format.

One line at an outage and one at its recovery; secrets are masked by key and by pattern before anything is written.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from agent.redact import Mask, mask_values

Event = MutableMapping[str, Any]


class _Redactor:
    """The last step before a line is written. `known`: the secrets of the running configuration, found in whatever place they stand."""

    def __init__(self) -> None:
        self.known = Mask()

    def __call__(self, _logger: object, _method: str, event: Event) -> Event:
        cleaned = mask_values(event)
        return {key: self._clean(value) for key, value in cleaned.items()} if self.known.forbidden else cleaned

    def _clean(self, value: object) -> object:
        if isinstance(value, str):
            return self.known.text(value)
        if isinstance(value, Mapping):
            return {key: self._clean(item) for key, item in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self._clean(item) for item in value]
        return value if isinstance(value, (int, float, type(None))) or not self.known.finds(str(value)) else self.known.text(str(value))


_redact = _Redactor()


def hide(secrets: Mask) -> None:
    """From now on no line of this process shows these, also where a device or a library sends them back to us."""
    _redact.known = secrets


def set_up(*, level: str = "info", json: bool | None = None) -> None:
    """Configure logging for the process. `json` None: JSON when standard error is no terminal."""
    as_json = (not sys.stderr.isatty()) if json is None else json
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty() and "NO_COLOR" not in os.environ)
    )
    formatter = structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer])
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("asyncssh", "apscheduler", "aiohttp.access", "alembic", "sqlalchemy.engine", "pysnmp"):
        # Their info lines repeat what our own say, once a poll.
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared[:-1], _redact, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger of ours."""
    found: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return found
