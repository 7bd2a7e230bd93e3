"""The only places that open sockets to devices: HTTP, SNMP and SSH, under one policy of trust and of logging in."""

from collectors.transport.answers import HttpAnswer, parse_json, raise_for_status
from collectors.transport.http import MISSING, HttpConnection
from collectors.transport.snmp import SnmpConnection, SnmpValue
from collectors.transport.ssh import Shell, SshConnection
from collectors.transport.transports import Transports, open_transports
from collectors.transport.websocket import WebSocket

__all__ = [
    "MISSING",
    "HttpAnswer",
    "HttpConnection",
    "Shell",
    "SnmpConnection",
    "SnmpValue",
    "SshConnection",
    "Transports",
    "WebSocket",
    "open_transports",
    "parse_json",
    "raise_for_status",
]
