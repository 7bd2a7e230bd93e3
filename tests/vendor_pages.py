"""`docs/<vendor>.md`: what is asked of a vendor's devices and how often, what it shows and how soon, made from the vendor's own tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from agent import plugins
from agent.catalogue import COMMON_FAULTS
from agent.model import FaultSpec
from agent.polling.detection import EXCLUDED, worst_case
from agent.polling.state import BASE_INTERVAL, effective_every
from agent.ports import CollectorPlugin, EvidenceItem, Facet
from collectors.axis.events import TOPICS, Topic
from tests.support.markdown import NOTE, duration, table

ACCOUNTS = {"": "none", "http": "`http`", "service": "`service`", "snmp": "`snmp`", "ssh": "`ssh`"}
"""By the role of the credential in the configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """What a vendor's page has beside its tables. `accounts`: what the roles must be allowed. `since`: head of that column, '' for none."""

    title: str
    accounts: str
    load: Callable[[CollectorPlugin], str]
    since: str = ""
    more: Callable[[CollectorPlugin], str] = lambda _plugin: ""


def requests_per_hour(facets: Iterable[Facet], interval: float = BASE_INTERVAL) -> dict[str, float]:
    """How many facets are asked in an hour, by way in, of a device that answers all of them: what only replaces another is not asked then."""
    counted: dict[str, float] = {}
    for facet in facets:
        if not facet.fallback_for:
            counted[facet.source] = counted.get(facet.source, 0.0) + 3600 / effective_every(facet, interval)
    return counted


def page_of(name: str) -> str:
    """The vendor's page."""
    plugin, vendor = plugins.collectors()[name], VENDORS[name]
    heads = ["Facet", "What", "Request", "Account", "Every", *([vendor.since] if vendor.since else []), "Shows, at the latest after"]
    rows = [[*_row(facet), *([facet.since] if vendor.since else []), _shown(facet, plugin)] for facet in plugin.facets]
    busy = ", ".join(f"{count:.0f} over {source.upper()}" for source, count in requests_per_hour(plugin.facets).items())
    return (
        f"# {vendor.title}\n\n{NOTE}\n"
        "What is asked of a device, one request after the other on one connection, when it is polled once a minute. A facet that a device does not have is\n"
        "asked for again once a day. What is heavy waits while the device is in use, or its use is not known. The time behind a fault is the worst case from\n"
        "its beginning until it is confirmed, that of the slowest facet where several can show it; `latarnik detection` computes it for a\n"
        f"site's configuration. It leaves out: {'; '.join(EXCLUDED)}.\n\n"
        f"Accounts: {vendor.accounts}\n\n{table(heads, rows)}"
        f"\n## Load\n\nFacets that are asked per hour of a device that has all of this: **{busy}**. {vendor.load(plugin)}\n"
        "`latarnik_device_requests_total` counts what polls ask each device: `rate(latarnik_device_requests_total[1h]) * 3600`.\n"
        f"{vendor.more(plugin)}"
        f"\n## Evidence of a case\n\nFetched once a case, one file at a time from a device, beside its polls.\n\n{_evidence(plugin.evidence)}"
    )


def _row(facet: Facet) -> list[str]:
    what = f"{facet.what}; only where `{facet.fallback_for}` is not answered" if facet.fallback_for else facet.what
    use = "; says whether it is in use" if facet.decides_use else ""
    heavy = "" if facet.light else "; heavy"
    return [f"`{facet.name}`", f"{what}{use}{heavy}", f"`{facet.endpoint}`", ACCOUNTS[facet.account], duration(facet.every)]


def _shown(facet: Facet, plugin: CollectorPlugin) -> str:
    """The faults that this facet shows, each with its worst case."""
    facets, specs = {f.name: f for f in plugin.facets}, _specs(plugin)
    found = []
    for code, names in plugin.shown_by.items():
        if facet.name in names:
            found.append(f"`{code}` {duration(worst_case(specs[code], [facets[name] for name in names], BASE_INTERVAL))}")
    return ", ".join(found)


def _specs(plugin: CollectorPlugin) -> Mapping[str, FaultSpec]:
    return {spec.code: spec for spec in (*COMMON_FAULTS, *plugin.faults)}


def _evidence(items: Iterable[EvidenceItem]) -> str:
    rows = []
    for item in items:
        instead = f"only where `{item.fallback_for}` cannot be had" if item.fallback_for else ""
        when = "" if item.light else "waits while the device is in use"
        rows.append((f"`{item.name}`", ACCOUNTS[item.account], f"{item.limit >> 20} MiB", duration(item.timeout), "; ".join(filter(None, (instead, when)))))
    return table(("File", "Account", "At most", "Within", "When"), rows)


def _topics(plugin: CollectorPlugin) -> str:
    head = (
        "\n## Events\n\n"
        "What a device says by itself over its event stream (`events: true`, listed from AXIS OS 10.12 on) or by SNMP traps shows in `/metrics` at once. The\n"
        "facets that tell the same are asked next; where there are none it counts while the stream lives. Topics without their name space prefixes; what the\n"
        "device says beside these is of no interest here.\n\n"
    )
    alone = ", ".join(f"`{spec.code}`" for spec in plugin.faults if spec.code not in plugin.shown_by)
    tail = f"\nFaults that events alone show, and polls do not: {alone}. Nothing can be promised of when: a device without the stream says none of it.\n"
    return head + table(("Topic", "Says", "When", "Confirmed by", "Evidence"), [_topic(topic) for topic in TOPICS]) + (tail if alone else "")


def _topic(topic: Topic) -> tuple[str, ...]:
    when = f"`{topic.item}` = {topic.bad}" if topic.item and topic.bad else f"`{topic.item}`" if topic.item else "it comes"
    confirmed = "it only happens" if topic.once else ", ".join(f"`{name}`" for name in topic.facets)
    return f"`{topic.name}`", topic.what, when, confirmed, topic.source


NOT_OF_CAMERAS = frozenset({"call", "sip", "siren", "siren_maintenance", "clock_config"})
"""What is asked of intercoms, speakers and sirens alone, or where another interface is gone."""


def _camera(plugin: CollectorPlugin) -> str:
    """What one kind of device is asked, in words."""
    of_camera = requests_per_hour(facet for facet in plugin.facets if facet.name not in NOT_OF_CAMERAS)
    return (
        f"Of these\na camera with everything else **{sum(of_camera.values()):.0f}**: it has no call and no siren. Most lack some more, and over SNMP\n"
        "nothing is asked without a credential for it. A facet is one request, two where a device wants a challenge first; beside them there is at most\n"
        "one event stream, and in a case one transfer of evidence."
    )


VENDORS: Mapping[str, Vendor] = {
    "axis": Vendor(
        title="Axis devices",
        accounts=(
            "`http` is the account for polling, an operator; `service` an administrator, or the same account where no other is named;\n"
            "`snmp` the credential for SNMP, without which nothing is asked that way. What an account may not read is not a fault: the facet is left out."
        ),
        load=_camera,
        since="AXIS OS",
        more=_topics,
    ),
    "poly": Vendor(
        title="Poly room systems",
        accounts="`http` is the account of the room system, which the SSH facets use too where the web interface is off.",
        load=lambda _plugin: "A facet is one request, `use` is three; one session is kept for all of them.",
    ),
}
