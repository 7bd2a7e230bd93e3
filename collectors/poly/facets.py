"""What is asked of a codec, how often, and what it may lack.

The order matters: `system` first, because it says whether the codec is starting; `use` before everything that must not run in a call.
"""

from __future__ import annotations

from agent.errors import Busy, CollectError, NotSupported, Reason
from agent.ports import Facet, FacetData
from collectors.poly import cli, parse, use
from collectors.poly.client import DEVICES, PolyClient
from collectors.poly.lenient import is_null
from collectors.poly.metrics import BOOT, STATE

SETTLED = 600.0
"""Seconds after a start in which an endpoint that is missing counts as not yet there. A start takes about 3 minutes."""


def _as_read(data: FacetData) -> FacetData:
    """For what is parsed where it is fetched, because the rest of the visit depends on what it says."""
    return data


async def _system(client: PolyClient) -> FacetData:
    client.starting = None
    try:
        text = await client.get("/rest/system")
    except NotSupported as error:
        # Firmware without this endpoint has the status list; a codec that starts has neither.
        client.starting = True
        if is_null(await client.get("/rest/system/status")):
            raise Busy(Reason.BOOTING, f"{error.detail}, while the codec is starting") from None
        client.starting = False
        raise
    except CollectError:
        client.starting = True
        raise
    raw = parse.Timed(text=text, at=client.now())
    data = parse.system(raw)
    state = next((r.state for r in data.readings if r.metric == STATE), "")
    boot = next((r.value for r in data.readings if r.metric == BOOT and r.value is not None), 0.0)
    client.starting = state in ("initializing", "updating", "shutting_down") or raw.at.timestamp() - boot < SETTLED
    return data


async def _use(client: PolyClient) -> FacetData:
    mode = await _maybe(client, "/rest/system/mode")
    device_mode = await _maybe(client, "/rest/system/mode/device") if mode is None else None
    running = use.running_mode(use.UseAnswers(mode=mode, device_mode=device_mode))
    if running == "device":
        return use.use(use.UseAnswers(mode=mode, device_mode=device_mode), running)
    conferences = await _maybe(client, "/rest/conferences") if running in ("", "poly") else None
    state = await _maybe(client, "/rest/system/apps/state") if running != "poly" else None
    apps = await _maybe(client, "/rest/system/apps") if not running and state is None else None
    return use.use(use.UseAnswers(mode=mode, device_mode=device_mode, conferences=conferences, apps_state=state, apps=apps), running)


async def _maybe(client: PolyClient, path: str) -> str | None:
    try:
        return await client.get(path, optional=True)
    except NotSupported:
        return None


async def _ssh_status(client: PolyClient) -> cli.CliStatus:
    return cli.CliStatus(status=await client.command("status"), calls=await client.command("callinfo all"))


def _get(name: str, path: str, every: float, parser: parse.TextParser, what: str, *, light: bool = True, optional: bool = True) -> Facet:
    async def fetch(client: PolyClient) -> str:
        return await client.get(path, optional=optional)

    return Facet(name=name, source="http", every=every, fetch=fetch, parse=parser, what=what, endpoint=f"GET {path}", light=light)


async def _devices(client: PolyClient) -> str:
    return await client.post(DEVICES, None)


async def _whoami(client: PolyClient) -> str:
    return await client.command("whoami")


FACETS = (
    Facet(
        name="system",
        source="http",
        every=60.0,
        fetch=_system,
        parse=_as_read,
        what="identity, state, network port, start time, clock",
        endpoint="GET /rest/system",
    ),
    _get("status", "/rest/system/status", 60.0, parse.status, "the codec's own list of what is up and down", optional=False),
    Facet(
        name="use",
        source="http",
        every=60.0,
        fetch=_use,
        parse=_as_read,
        what="running application, call or meeting",
        endpoint="GET /rest/system/mode, /rest/conferences, /rest/system/apps/state",
        decides_use=True,
    ),
    Facet(
        name="peripherals",
        source="http",
        every=60.0,
        fetch=_devices,
        parse=parse.peripherals,
        what="touch panels, cameras and microphones that hang on the codec, with serial and firmware",
        endpoint=f"POST {DEVICES}",
    ),
    _get("audio", "/rest/audio", 300.0, parse.audio, "number of microphones, mute"),
    _get("microphones", "/rest/audio/microphones", 300.0, parse.microphones, "each microphone"),
    # Twelve inputs of which one is used, each with twenty keys.
    _get("cameras", "/rest/cameras/near/all", 300.0, parse.cameras, "people cameras", light=False),
    _get("sipservers", "/rest/system/sipservers", 300.0, parse.sip_servers, "SIP registration"),
    _get("gatekeepers", "/rest/system/h323gatekeepers", 300.0, parse.gatekeepers, "H.323 registration"),
    _get("calendar", "/rest/calendar", 300.0, parse.calendar, "calendar connection"),
    _get("sessions", "/rest/current/session/sessions", 900.0, parse.sessions, "how many management sessions are open"),
    _get("apps", "/rest/system/apps", 3600.0, parse.apps, "installed applications"),
    Facet(
        name="ssh_identity",
        source="ssh",
        every=300.0,
        fetch=_whoami,
        parse=cli.ssh_identity,
        what="identity, while the web interface does not answer",
        endpoint="SSH whoami",
        account="ssh",
        fallback_for="system",
    ),
    Facet(
        name="ssh_status",
        source="ssh",
        every=60.0,
        fetch=_ssh_status,
        parse=cli.ssh_status,
        what="status rows and calls, while the web interface does not answer",
        endpoint="SSH status, callinfo all",
        account="ssh",
        fallback_for="system",
    ),
)
