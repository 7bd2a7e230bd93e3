"""The keys of a mail desk."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from config.values import Duration, FilePath, Line, Names, Section, Size, parse_host, parse_listen

DEFAULT_PORT = {"starttls": 587, "tls": 465, "none": 25}
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")


class MailSettings(Section):
    """Where messages go, and by which relay.

    `smtp`: host or host:port; without a port 587 for starttls, 465 for tls, 25 for none. `tls: starttls` refuses a server that does not offer it.
    `ca_file`: the authority of the relay's certificate where the system does not know it.
    `max_size`: the files of one message together; a relay that announces less counts as well. The biggest are left out until the rest fits: they are named in
    the text and stay on the site server.
    `auto_submitted` marks messages as made by a program. Several helpdesks then send no number back, and one drops them: off unless the receiver asks for it.
    `dry_run`: messages are written as `.eml` files under `mail/<desk>/` of the state folder, and nothing is sent.
    """

    to: Names = Field(min_length=1)
    sender: Line = Field(alias="from")
    smtp: Line
    tls: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: FilePath | None = None
    username: Line = ""
    password_file: FilePath | None = None
    reply_to: Line = ""
    max_size: Size = 7_000_000
    timeout: Duration = 60.0
    auto_submitted: bool = False
    dry_run: bool = False

    @field_validator("to")
    @classmethod
    def _recipients(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_address(address) for address in addresses)

    @field_validator("sender", "reply_to")
    @classmethod
    def _mailbox(cls, address: str) -> str:
        return _address(address) if address else address

    @field_validator("smtp")
    @classmethod
    def _relay(cls, text: str) -> str:
        host, port = _server(text)
        if not host or port == 0:
            raise ValueError("must be host or host:port, such as smtp.example.org or smtp.example.org:587")
        return text

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.sender:
            raise ValueError("from: must be an address such as rooms@example.org")
        if bool(self.username) != bool(self.password_file):
            raise ValueError("username and password_file belong together: give both, or neither where the relay knows this server by its address")
        if self.username and self.tls == "none":
            raise ValueError("a password is not sent without encryption: set tls: starttls or tls: tls, or remove username and password_file")
        if self.timeout <= 0:
            raise ValueError("timeout: must be more than 0s")
        return self

    @property
    def server(self) -> tuple[str, int]:
        """Host and port of the relay."""
        host, port = _server(self.smtp)
        return host, port or DEFAULT_PORT[self.tls]


def _server(text: str) -> tuple[str, int | None]:
    """Host and port; a bare IPv6 address has no port."""
    if ":" in text and not text.endswith("]") and (text.startswith("[") or text.count(":") == 1):
        address = parse_listen(text)
        return ("" if text.startswith(":") else address.host), address.port
    return parse_host(text), None


def _address(text: str) -> str:
    local, at, domain = text.rpartition("@")
    if not at or not _LOCAL_PART.fullmatch(local) or domain.startswith("["):
        raise ValueError(f"{text!r} is no mail address: write it as name@example.org, without a display name, in ASCII")
    return f"{local}@{parse_host(domain)}"
