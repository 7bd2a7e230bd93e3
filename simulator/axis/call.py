"""One request on its way through a device, and the shapes of its answers."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web

from simulator.axis.auth import Role
from simulator.axis.product import Product
from simulator.axis.state import State
from simulator.snmp.agent import Access

SERVER = {"Server": "Apache"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request for one CGI. `role` is the caller's; `require` raises where more is needed.

    `user` and `password` are those of the account, '' for none. `parameters` is the whole tree as it is now.
    `token` makes one for an event stream of this account. `certificate` is the one that is shown, PEM, and when it ends.
    `recorder` is who fetches the picture.
    """

    request: web.BaseRequest
    state: State
    secure: bool
    body: bytes
    role: Role
    user: str
    password: str
    accounts: Mapping[str, Role]
    parameters: Callable[[], dict[str, str]]
    policy: str
    restart: Callable[[], None]
    reset: Callable[[], None]
    token: Callable[[], str]
    certificate: Callable[[], tuple[str, datetime]]
    snmp: Access
    recorder: str

    def query(self, name: str, default: str = "") -> str:
        return self.request.query.get(name, default)

    def require(self, role: Role) -> None:
        if self.role < role:
            raise Insufficient


@dataclass(frozen=True, slots=True, kw_only=True)
class Cgi:
    """One path. `offered`: whether a product has it at all."""

    answer: Callable[[Call], Awaitable[web.StreamResponse]]
    level: Role
    offered: Callable[[Product], bool] = lambda _product: True


class Insufficient(Exception):
    """The account may not, or there was none."""


def text(body: str, *, state: State, status: int = 200, html: bool = False, headers: Mapping[str, str] | None = None) -> web.Response:
    """Plain text or HTML; Latin-1 on 5.x."""
    charset = "iso-8859-1" if state.product.generation.legacy else "utf-8"
    return web.Response(text=body, status=status, content_type="text/html" if html else "text/plain", charset=charset, headers={**SERVER, **(headers or {})})


def page(title: str, sentence: str, *, state: State, status: int, headers: Mapping[str, str] | None = None) -> web.Response:
    """An HTML page as Apache makes them."""
    body = f"<!DOCTYPE html>\n<html><head>\n<title>{title}</title>\n</head><body>\n<h1>{title}</h1>\n<p>{sentence}</p>\n</body></html>\n"
    return text(body, state=state, status=status, html=True, headers=headers)


def xml(body: str) -> web.Response:
    return web.Response(body=body.encode("iso-8859-1", "xmlcharrefreplace"), content_type="text/xml", headers=SERVER)


def as_json(data: Any, *, status: int = 200, indent: int | None = None) -> web.Response:
    return web.Response(body=json.dumps(data, indent=indent).encode() + b"\n", status=status, content_type="application/json", headers=SERVER)


def missing_item(message: str = "Item does not exist") -> web.Response:
    """What the Device Configuration interface answers for what it does not have."""
    return as_json({"status": "error", "error": {"code": 2, "message": message}}, status=404, indent=2)
