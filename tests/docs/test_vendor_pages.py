"""The vendors' pages: everything that is asked stands in them, with the times that `latarnik detection` gives."""

from __future__ import annotations

import pytest

from agent import plugins
from agent.catalogue import COMMON_FAULTS
from agent.polling.detection import detections
from agent.polling.state import BASE_INTERVAL
from collectors.axis.events import TOPICS
from tests.support.markdown import duration
from tests.vendor_pages import NOT_OF_CAMERAS, VENDORS, page_of, requests_per_hour


def cells(name: str) -> dict[str, list[str]]:
    """The rows of all tables of the page, by their first cell."""
    rows = [line.strip("|\n").split(" | ") for line in page_of(name).splitlines() if line.startswith("| `")]
    return {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in rows}


def test_every_vendor_has_a_page() -> None:
    assert set(VENDORS) == set(plugins.collectors())


@pytest.mark.parametrize("name", list(VENDORS))
def test_every_facet_and_file_of_evidence_stands_in_the_page(name: str) -> None:
    plugin, found = plugins.collectors()[name], cells(name)
    for facet in plugin.facets:
        assert facet.endpoint in found[facet.name][1].replace("\\|", "|")
        assert duration(facet.every) in found[facet.name]
    for item in plugin.evidence:
        assert f"{item.limit >> 20} MiB" in found[item.name]


@pytest.mark.parametrize("name", list(VENDORS))
def test_every_fault_that_a_facet_shows_stands_there_with_its_worst_case(name: str) -> None:
    plugin, found = plugins.collectors()[name], cells(name)
    specs = {spec.code: spec for spec in (*COMMON_FAULTS, *plugin.faults)}
    told = {d.code: d for d in detections(plugin, specs, BASE_INTERVAL)}
    assert plugin.shown_by
    for code, facets in plugin.shown_by.items():
        seconds = told[code].seconds
        assert seconds is not None
        for facet in facets:
            assert f"`{code}` {duration(seconds)}" in found[facet][-1], (code, facet)


def test_every_topic_stands_in_the_page() -> None:
    found = cells("axis")
    assert {topic.name for topic in TOPICS} <= set(found)


@pytest.mark.parametrize("name", list(VENDORS))
def test_the_load_is_what_the_table_sums_up_to(name: str) -> None:
    facets = plugins.collectors()[name].facets
    found = requests_per_hour(facets)
    assert sum(found.values()) == sum(3600 / facet.every for facet in facets if not facet.fallback_for)
    assert requests_per_hour(facets, interval=600.0)["http"] < found["http"] / 2
    assert ", ".join(f"{count:.0f} over {source.upper()}" for source, count in found.items()) in page_of(name)


def test_what_a_camera_lacks_is_a_facet_and_not_counted_of_a_camera() -> None:
    names = {facet.name for facet in plugins.collectors()["axis"].facets}
    assert names >= NOT_OF_CAMERAS
    page = page_of("axis")
    assert f"a camera with everything else **{sum(_of_camera().values()):.0f}**" in page


def _of_camera() -> dict[str, float]:
    return requests_per_hour(facet for facet in plugins.collectors()["axis"].facets if facet.name not in NOT_OF_CAMERAS)
