from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import BasicAuth, web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import BadPayload, Busy, CollectError, Forbidden, LoginRefused, NotSupported
from agent.model import Device
from agent.ports import Services
from collectors.axis import PLUGIN, AxisSession
from collectors.axis import client as axis
from collectors.axis.client import CALL_READS, GET_READS, JSON_READS, AxisClient, ForbiddenRequestError, json_error
from collectors.axis.evidence import EVIDENCE
from collectors.axis.facets import FACETS
from collectors.axis.facets_health import DISCOVERY_FACETS, HEALTH_FACETS, NEEDS_REST
from tests.axis import samples
from tests.axis.doubles import ADMIN, COMMUNITY, OPERATOR, Guard, entry, services

Handler = Callable[[web.Request], Any]
KNOWN_READS = re.compile(
    r"/axis-cgi/(?:param\.cgi\?action=list(?:&.*)?|temperaturecontrol\.cgi\?action=statusall|disks/list\.cgi\?diskid=all|disks/gethealth\.cgi"
    r"|wssession\.cgi|applications/list\.cgi|systemlog\.cgi|auditlog\.cgi\?tail=[0-9]{1,5}|serverreport\.cgi\?mode=(?:text|zip|zip_with_image))"
    r"|/config/discover|/local/AXISImageHealthAnalytics/v1/status"
)


class Web:
    """A small device: `answers` by path and query or JSON method; `allowed` user names by path, all where a path is not named."""

    def __init__(self, answers: dict[str, Any], *, guarded: bool = False, allowed: dict[str, tuple[str, ...]] | None = None, forbidden: int = 401) -> None:
        self.answers, self.guarded, self.allowed, self.forbidden = answers, guarded, allowed or {}, forbidden
        self.seen: list[str] = []
        self.refused = 0

    async def answer(self, request: web.Request) -> web.Response:
        name = request.raw_path
        if request.method == "POST":
            told = await request.json()
            name = f"{name} {told.get('method') or next(iter(told))}"
        self.seen.append(name)
        if self.guarded and not name.endswith(("getAllUnrestrictedProperties", "systemready")):
            user = BasicAuth.decode(request.headers["Authorization"]) if "Authorization" in request.headers else None
            good = user is not None and (user.login, user.password) in {(c.username, c.password.reveal()) for c in (OPERATOR, ADMIN)}
            if user is None or not good or user.login not in self.allowed.get(name, (user.login,)):
                self.refused += user is not None
                return web.Response(status=self.forbidden if good else 401, headers={"WWW-Authenticate": 'Basic realm="AXIS"'})
        found = self.answers.get(name, 404)
        if isinstance(found, int):
            return web.Response(status=found)
        if isinstance(found, dict):
            return web.json_response(found)
        return web.Response(body=found if isinstance(found, bytes) else found.encode("latin-1"), content_type="text/plain")


@asynccontextmanager
async def visit(handler: Web, lent: Services | None = None, **options: Any) -> AsyncIterator[AxisClient]:
    """One visit to that device."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler.answer)
    async with TestServer(app, host="127.0.0.1") as server, PLUGIN.start(lent or services()) as collector:
        device = entry(port=server.port, allow_basic_over_http=True, **options)
        async with collector.open(device) as session:
            client = session.client
            assert isinstance(client, AxisClient)
            yield client


# --- promise 10 -------------------------------------------------------------------------------------------------------


def test_the_table_of_reads_holds_reads_alone() -> None:
    assert all(method.startswith("get") or method in {"systemready", "status"} for _, method in JSON_READS)
    assert all(method.startswith("Get") for method in CALL_READS)
    for path in GET_READS:
        assert KNOWN_READS.fullmatch(path), path


@pytest.mark.parametrize(
    "path",
    [
        "/axis-cgi/restart.cgi",
        "/axis-cgi/factorydefault.cgi",
        "/axis-cgi/param.cgi?action=update&root.Network.SSH.Enabled=yes",
        "/axis-cgi/param.cgi?action=list&group=root.Brand&action=update",
        "/axis-cgi/param.cgi?action=list&group=root.Brand%2C",
        "/axis-cgi/param.cgi",
        "/axis-cgi/temperaturecontrol.cgi?device=heater&id=0&action=start",
        "/axis-cgi/disks/format.cgi?diskid=SD_DISK",
        "/axis-cgi/pwdgrp.cgi?action=get",
        "/axis-cgi/serverreport.cgi?mode=tar_all",
    ],
)
async def test_no_other_get_can_be_sent(path: str) -> None:
    device = Web({})
    async with visit(device) as client:
        for send in (client.text, client.xml):
            with pytest.raises(ForbiddenRequestError):
                await send(path)
        with pytest.raises(ForbiddenRequestError):
            await anext(client.stream(path, account="http", limit=1, timeout=1))
    assert device.seen == []


@given(
    path=st.text(max_size=60) | st.sampled_from([axis.FIRMWARE, axis.SYSTEM_READY, axis.BASIC_DEVICE_INFO]),
    method=st.text(max_size=20) | st.sampled_from(["reboot", "upgrade"]),
)
async def test_no_other_call_can_be_sent(path: str, method: str) -> None:
    client = AxisClient(device=entry(), http=None, snmp=None, clock=services().clock, readable={})  # type: ignore[arg-type]  # nothing may be sent
    if (path, method) not in JSON_READS:
        with pytest.raises(ForbiddenRequestError):
            await client.json_api(path, method)


@pytest.mark.parametrize(
    "path",
    [
        "/config/rest/ssh/v2",
        "/config/rest/cert/v1/create",
        "/config/rest/siren-and-light/v2beta",
        "/config/rest/siren-and-light/v2beta/maintenanceMode/start",
        "/config/rest/cert/v1?x=y",
        "/local/AXISImageHealthAnalytics/v1/settings",
    ],
)
async def test_of_the_interfaces_for_configuration_only_these_are_read(path: str) -> None:
    device = Web({})
    async with visit(device) as client:
        with pytest.raises(ForbiddenRequestError):
            await client.rest(path)
        with pytest.raises(ForbiddenRequestError):
            await client.realms(path)
        with pytest.raises(ForbiddenRequestError):
            await client.call_service("Call")
    assert device.seen == []


async def test_an_error_of_the_configuration_interface_in_a_200_is_an_error() -> None:
    path = "/config/rest/cert/v1"
    wrong = {"status": "error", "error": {"code": 2, "message": "Item does not exist"}}
    async with visit(Web({path: wrong, axis.DISCOVER: "[1]"})) as client:
        with pytest.raises(CollectError, match="Item does not exist"):
            await client.rest(path)
        with pytest.raises(BadPayload):
            await client.rest(axis.DISCOVER)


async def test_a_fault_of_the_call_service_is_that_of_a_device_without_one() -> None:
    called = f"{axis.CALL_SERVICE} axcall:GetCallStatus"
    async with visit(Web({called: {"Fault": {"faultstring": "unknown method"}}})) as client:
        with pytest.raises(NotSupported):
            await client.call_service("GetCallStatus")
    async with visit(Web({called: "[]"})) as client:
        with pytest.raises(BadPayload):
            await client.call_service("GetCallStatus")


@pytest.mark.parametrize("status", [404, 405, 410])
async def test_what_a_firmware_no_longer_has_is_quietly_not_supported(status: int) -> None:
    class Gone(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            return status

    async with visit(Web(Gone())) as client:
        for facet in (*DISCOVERY_FACETS, *HEALTH_FACETS):
            with pytest.raises(NotSupported):
                await facet.fetch(client)


async def test_without_tls_there_is_no_certificate_and_the_realm_is_that_of_the_401() -> None:
    class Realm(Web):
        async def answer(self, request: web.Request) -> web.Response:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Digest realm="AXIS_B8A44F0A0B01", nonce="x", algorithm=MD5, qop="auth"'})

    path = axis.parameters_path(axis.IDENTITY_GROUPS)
    async with visit(Realm({})) as client:
        assert await client.realms(path) == ["AXIS_B8A44F0A0B01"]
        with pytest.raises(NotSupported):
            await client.shown_certificate()
    async with visit(Web({path: samples.BRAND_5_51})) as client:
        with pytest.raises(NotSupported):
            await client.realms(path)


async def test_all_that_facets_and_evidence_send_to_a_device_is_in_the_table() -> None:
    device = Web({}, guarded=True)
    async with visit(device, credentials={"http": OPERATOR, "service": ADMIN}) as client:
        for facet in FACETS:
            if facet.source == "http":
                with suppress(CollectError):
                    await facet.fetch(client)
        for item in EVIDENCE:
            with pytest.raises(CollectError):
                async for _ in item.fetch(client):
                    pass
    for sent in device.seen:
        path, _, method = sent.partition(" ")
        if path == axis.CALL_SERVICE:
            assert method.removeprefix("axcall:") in CALL_READS
        elif path != "/":
            assert (path, method) in JSON_READS if method else KNOWN_READS.fullmatch(path), sent


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 2004, "message": "Unknown method"}, NotSupported),
        ({"code": 2003, "message": "unsupported version"}, NotSupported),
        ({"code": 4711, "message": "Method is not supported"}, NotSupported),
        ({"code": 2001, "message": "forbidden"}, Forbidden),
        ({"code": 503, "message": "starting"}, Busy),
        ({"code": 8000, "message": "internal"}, CollectError),
        ({"code": "odd"}, CollectError),
        ("odd", CollectError),
        ([], CollectError),
    ],
)
def test_an_error_in_a_200_is_what_its_code_says(error: object, kind: type[CollectError]) -> None:
    assert type(json_error("/x", "m", {"error": error})) is kind


def test_an_answer_without_error_is_none() -> None:
    assert json_error("/x", "m", {"data": {}}) is None


async def test_param_cgi_with_errors_alone_is_not_supported_and_among_values_is_an_answer() -> None:
    error = "# Error: Error -1 getting param in group 'root.TemperatureControl'\n"
    device = Web({axis.parameters_path(["root.TemperatureControl"]): error, axis.parameters_path(["root.Storage"]): f"{error}root.Storage.MountDir=/x\n"})
    async with visit(device) as client:
        with pytest.raises(NotSupported):
            await client.param("root.TemperatureControl", account="")
        assert "MountDir" in await client.param("root.Storage", account="")


async def test_texts_are_read_as_latin_1_where_they_are_no_utf_8() -> None:
    async with visit(Web({axis.parameters_path(["root.Brand"]): "root.Brand.ProdNbr=Kamera \xe4\n"})) as client:
        assert "ä" in await client.param("root.Brand", account="")


async def test_an_error_document_of_the_disks_is_an_error_and_that_of_their_health_is_not_supported() -> None:
    facets = {facet.name: facet for facet in FACETS}
    device = Web({axis.DISKS: samples.DISKS_ERROR, axis.DISK_HEALTH: samples.HEALTH_ERROR, axis.BASIC_DEVICE_INFO + " getAllProperties": samples.identity()})
    async with visit(device, credentials={"http": OPERATOR}) as client:
        with pytest.raises(CollectError, match="busy"):
            await facets["storage"].fetch(client)
        with pytest.raises(NotSupported):
            await facets["storage_health"].fetch(client)


async def test_a_web_page_in_place_of_json_is_a_bad_payload() -> None:
    async with visit(Web({axis.SYSTEM_READY + " systemready": "<html>login</html>"})) as client:
        with pytest.raises(BadPayload):
            await client.json_api(axis.SYSTEM_READY, "systemready", account="")


# --- accounts ---------------------------------------------------------------------------------------------------------


def offered(**credentials: Any) -> set[str]:
    client = AxisClient(device=entry(credentials=credentials), http=None, snmp=None, clock=services().clock, readable={})  # type: ignore[arg-type]  # not used
    session = AxisSession(client=client, http=None)  # type: ignore[arg-type]  # not used
    return {facet.name for facet in FACETS if session.offers(facet)}


def test_what_is_asked_depends_on_the_accounts() -> None:
    every = {facet.name for facet in FACETS}
    # On http, of a kind that is not known, and before it listed its interfaces for configuration.
    every -= {"call", "sip", "certificate", *NEEDS_REST}
    assert offered() == every - {"snmp_system", "snmp_health"}
    assert offered(snmp=COMMUNITY) == every
    assert offered(http=OPERATOR) == every - {"snmp_system", "snmp_health", "identity_realm"}


async def test_without_an_account_a_device_is_asked_for_what_anybody_may_read_and_the_rest_is_unsupported() -> None:
    facets = {facet.name: facet for facet in FACETS}
    answers = {axis.BASIC_DEVICE_INFO + " getAllProperties": samples.identity(), axis.TEMPERATURES: samples.TEMPERATURES}
    async with visit(Web(answers)) as client:
        await facets["temperatures"].fetch(client)
        await facets["identity_account"].fetch(client)
    async with visit(Web(answers, guarded=True)) as client:
        with pytest.raises(NotSupported, match="wants an account, and none is configured"):
            await facets["temperatures"].fetch(client)


@pytest.mark.parametrize("forbidden", [401, 403])
async def test_an_account_without_the_right_is_not_taken_for_a_refused_one(forbidden: int) -> None:
    """Devices answer 401 to both: the account is first shown to be good on what every account may read."""
    guard = Guard()
    answers = {axis.BASIC_DEVICE_INFO + " getAllProperties": samples.identity(), axis.TEMPERATURES: samples.TEMPERATURES}
    device = Web(answers, guarded=True, allowed={axis.FIRMWARE + " status": ("admin",), axis.DISKS: ("admin",)}, forbidden=forbidden)
    facets = {facet.name: facet for facet in FACETS}
    async with visit(device, services(guard), credentials={"http": OPERATOR}) as client:
        for name in ("firmware", "storage"):
            with pytest.raises(NotSupported):
                await facets[name].fetch(client)
        assert "CPU" in await facets["temperatures"].fetch(client)
    assert guard.refusals == []


async def test_a_right_that_was_taken_away_is_forbidden_and_not_silently_unsupported() -> None:
    answers = {axis.BASIC_DEVICE_INFO + " getAllProperties": samples.identity(), axis.TEMPERATURES: samples.TEMPERATURES, axis.DISK_HEALTH: samples.health()}
    device = Web(answers, guarded=True, forbidden=403)
    async with visit(device, credentials={"http": OPERATOR}) as client:
        await client.text(axis.TEMPERATURES)
        device.allowed = {axis.TEMPERATURES: ("admin",)}
        with pytest.raises(Forbidden):
            await client.text(axis.TEMPERATURES)


async def test_a_wrong_password_costs_one_refusal_for_the_whole_table() -> None:
    guard = Guard()
    device = Web({}, guarded=True)
    wrong = type(OPERATOR)(name="cameras", username="operator", password=type(OPERATOR.password)("wrong"))
    async with visit(device, services(guard), credentials={"http": wrong}) as client:
        kinds = set()
        for facet in FACETS:
            if facet.source == "http" and facet.account:
                with pytest.raises(CollectError) as caught:
                    await facet.fetch(client)
                kinds.add(type(caught.value))
    assert device.refused == 1
    assert len(guard.refusals) == 1
    assert LoginRefused in kinds


async def test_the_account_is_shown_good_once_and_not_at_every_visit() -> None:
    answers = {axis.BASIC_DEVICE_INFO + " getAllProperties": samples.identity(), axis.TEMPERATURES: samples.TEMPERATURES}
    handler = Web(answers, guarded=True)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler.answer)
    async with TestServer(app, host="127.0.0.1") as server, PLUGIN.start(services()) as collector:
        device: Device = entry(port=server.port, allow_basic_over_http=True, credentials={"http": OPERATOR})
        for _ in range(3):
            async with collector.open(device) as session:
                client = session.client
                assert isinstance(client, AxisClient)
                await client.text(axis.TEMPERATURES)
    shown = [sent for sent in handler.seen if sent.endswith("getAllProperties")]
    assert len(shown) == 2  # the challenge, and the answer to it


async def test_readiness_is_asked_with_an_account_where_the_device_wants_one() -> None:
    class Strict(Web):
        async def answer(self, request: web.Request) -> web.Response:
            if "Authorization" not in request.headers:
                return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="AXIS"'})
            return await super().answer(request)

    answers = {axis.BASIC_DEVICE_INFO + " getAllProperties": samples.identity(), axis.SYSTEM_READY + " systemready": samples.readiness()}
    facets = {facet.name: facet for facet in FACETS}
    async with visit(Strict(answers, guarded=True), credentials={"http": OPERATOR}) as client:
        assert facets["readiness"].parse(await facets["readiness"].fetch(client)).facts["ready"] == "yes"
        with pytest.raises(NotSupported):
            await facets["identity"].fetch(client)
    async with visit(Strict(answers, guarded=True)) as client:
        with pytest.raises(Forbidden):
            await facets["readiness"].fetch(client)


async def test_an_old_device_is_identified_by_its_parameters() -> None:
    groups = axis.parameters_path(["root.Brand", "root.Properties.Firmware", "root.Properties.System"])
    facets = {facet.name: facet for facet in FACETS}
    async with visit(Web({groups: samples.BRAND_5_51}), credentials={"http": OPERATOR}) as client:
        with pytest.raises(NotSupported):
            await facets["identity"].fetch(client)
        facet = facets["identity_account"]
        assert facet.parse(await facet.fetch(client)).identity.serial == "00408C0A0B04"
