"""The call service of an intercom. Only its existence is known: path, requests and answers are ours, as are the words."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from simulator.axis.auth import Role
from simulator.axis.call import Call, Cgi, as_json

PATH = "/vapix/call"


async def _answer(call: Call) -> web.StreamResponse:
    """One request: an object whose only name is the method, with or without the prefix `axcall:`."""
    try:
        request = json.loads(call.body)
    except (ValueError, RecursionError):
        request = None
    if call.request.method != "POST" or not isinstance(request, dict) or len(request) != 1:
        return _fault("the request is not one method in JSON")
    faults = call.state.faults
    running = [{"CallId": "call_7", "State": "Connected", "Direction": "Outgoing", "To": "sip:desk@example.org"}] if "call_running" in faults else []
    match next(iter(request)).removeprefix("axcall:"):
        case "GetSIPAccounts":
            return as_json({"SIPAccount": [{"Id": "sip_account_0", "Name": "gate", "UserId": "gate", "Registrar": "sip.example.org", "Enabled": "true"}]})
        case "GetSIPAccountStatus":
            status = "NotRegistered" if "sip_unregistered" in faults else "Registered"
            return as_json({"SIPAccountStatus": [{"Id": "sip_account_0", "Status": status}]})
        case "GetCallStatus":
            return as_json({"CallStatus": running})
        case other:
            return _fault(f"unknown method {other}")


def _fault(text: str) -> web.Response:
    fault: dict[str, Any] = {"Fault": {"faultcode": "env:Sender", "faultstring": text}}
    return as_json(fault, status=400)


PATHS = {PATH: Cgi(answer=_answer, level=Role.OPERATOR, offered=lambda product: product.has("sip"))}
