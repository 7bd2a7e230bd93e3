"""The dashboard against the rules of Grafana's own linter and some of ours, without a Grafana."""

from __future__ import annotations

import json
import re
import warnings
from itertools import combinations
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

import exporters.grafana
import exporters.prometheus
from agent import plugins
from exporters.grafana.fleet import dashboard
from exporters.prometheus.own import OWN_METRICS

FOLDER = Path(exporters.grafana.__file__).parent
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboards" / "fleet.json").read_text(encoding="utf-8"))
PANELS = [p for p in DASHBOARD["panels"] if p["type"] != "row"]
TARGETS = [(p, t) for p in PANELS for t in p["targets"]]
VARIABLES = {v["name"]: v for v in DASHBOARD["templating"]["list"]}

SUBSTITUTES = {"$__rate_interval": "1m", "$__range": "6h"}


def promql(expression: str) -> str:
    """The expression as Grafana would send it."""
    for name, value in SUBSTITUTES.items():
        expression = expression.replace(name, value)
    left = re.sub(r"\$\{?\w+\}?", ".+", expression)
    assert "$" not in left, left
    return left


def known_metrics() -> dict[str, set[str]]:
    """Every metric there is, with its labels."""
    vendors = plugins.collectors()
    known = {m.name: {"device", *m.labels, *(("state",) if m.states else ())} for m in plugins.metrics(vendors)}
    for own in OWN_METRICS:
        names = [f"{own.name}_{part}" for part in ("bucket", "sum", "count")] if own.kind == "histogram" else [own.name]
        known |= {name: {*own.labels, *(("le",) if own.kind == "histogram" else ())} for name in names}
    return known | {"process_resident_memory_bytes": set(), "process_cpu_seconds_total": set(), "up": set()}


def selectors(expression: Any) -> list[Any]:
    """All metric selectors of a parsed expression."""
    if isinstance(expression, promql_parser.VectorSelector):
        return [expression]
    if isinstance(expression, promql_parser.MatrixSelector):
        return selectors(expression.vector_selector)
    parts = [getattr(expression, name, None) for name in ("expr", "lhs", "rhs")]
    parts += list(getattr(expression, "args", ()))
    return [found for part in parts if part is not None for found in selectors(part)]


def names_and_labels(expression: str) -> list[tuple[str, dict[str, str]]]:
    found = [(s.name, {m.name: m.value for m in s.matchers.matchers}) for s in selectors(promql_parser.parse(promql(expression)))]
    assert found, expression
    return found


def test_the_committed_file_is_what_is_generated() -> None:
    assert dashboard() == DASHBOARD


def test_it_can_be_imported_anywhere() -> None:
    assert DASHBOARD["id"] is None
    assert "version" not in DASHBOARD
    assert 8 <= len(DASHBOARD["uid"]) <= 40
    assert DASHBOARD["schemaVersion"] == 39
    assert DASHBOARD["editable"] is False
    assert "latarnik" in DASHBOARD["tags"]


def test_grafanas_own_model_takes_it_and_gives_it_back() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the classic model; it is meant
        from grafana_foundation_sdk.cog.encoder import JSONEncoder
        from grafana_foundation_sdk.cog.plugins import register_default_plugins
        from grafana_foundation_sdk.models.dashboard import Dashboard

        register_default_plugins()
        again = json.loads(JSONEncoder().encode(Dashboard.from_json(DASHBOARD)))
    assert lost(DASHBOARD, again) == []


def lost(ours: Any, theirs: Any, where: str = "") -> list[str]:
    """What of ours is not in theirs. Their model leaves out what is null and adds defaults."""
    if isinstance(ours, dict):
        if not isinstance(theirs, dict):
            return [where]
        return [gap for k, v in ours.items() if v is not None for gap in (lost(v, theirs[k], f"{where}.{k}") if k in theirs else [f"{where}.{k}"])]
    if isinstance(ours, list):
        if not isinstance(theirs, list) or len(ours) != len(theirs):
            return [where]
        return [gap for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) for gap in lost(a, b, f"{where}[{i}]")]
    return [] if ours == theirs else [f"{where}: {ours!r} became {theirs!r}"]


def test_panels_have_their_own_ids_titles_and_descriptions() -> None:
    ids = [p["id"] for p in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    titles = [p["title"] for p in PANELS]
    assert len(set(titles)) == len(titles)
    assert all(p["title"] and p["description"] for p in PANELS)


def test_no_two_panels_lie_on_each_other_and_none_sticks_out() -> None:
    places = [p["gridPos"] for p in DASHBOARD["panels"]]
    assert all(g["x"] >= 0 and g["w"] > 0 and g["h"] > 0 and g["x"] + g["w"] <= 24 for g in places)
    for a, b in combinations(places, 2):
        assert a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"] or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"], (a, b)


@pytest.mark.parametrize("panel", PANELS, ids=lambda p: p["title"])
def test_a_panel_asks_the_chosen_data_source_and_shows_a_unit(panel: dict[str, Any]) -> None:
    assert panel["targets"]
    refs = [t["refId"] for t in panel["targets"]]
    assert len(set(refs)) == len(refs)
    for source in (panel["datasource"], *(t["datasource"] for t in panel["targets"])):
        assert source == {"type": "prometheus", "uid": "${datasource}"}
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults.get("unit") or defaults.get("mappings")


def test_colours_are_words_that_light_and_dark_themes_have() -> None:
    colors = set(re.findall(r'"color": "([^"]+)"', json.dumps(PANELS)))
    assert colors <= {"green", "orange", "red", "blue", "text"}


@pytest.mark.parametrize(("panel", "target"), TARGETS, ids=lambda x: x.get("title") or x.get("refId"))
def test_a_query_is_valid_and_asks_for_metrics_and_labels_that_exist(panel: dict[str, Any], target: dict[str, Any]) -> None:
    known = known_metrics()
    for name, matchers in names_and_labels(target["expr"]):
        assert name in known, f"{name} is not in the catalogue"
        assert matchers.keys() <= known[name] | {"job", "instance"}, name
        assert {"job", "instance"} <= matchers.keys(), "the variables job and instance must pick"


@pytest.mark.parametrize(("panel", "target"), TARGETS, ids=lambda x: x.get("title") or x.get("refId"))
def test_counters_are_rated_over_the_right_interval(panel: dict[str, Any], target: dict[str, Any]) -> None:
    expression = target["expr"]
    for name in re.findall(r"\w+_(?:total|bucket)\b", expression):
        if panel["type"] != "table":  # a table may show how many there were
            assert re.search(rf"rate\({name}\{{[^}}]*\}}\[\$__rate_interval\]\)", expression), name


@pytest.mark.parametrize("panel", [p for p in PANELS if p["type"] == "table"], ids=lambda p: p["title"])
def test_a_table_shows_only_columns_that_its_queries_give(panel: dict[str, Any]) -> None:
    known = known_metrics()
    given = {"Value"} if len(panel["targets"]) == 1 else {f"Value #{t['refId']}" for t in panel["targets"]}
    for target in panel["targets"]:
        assert target["format"] == "table"
        assert target["instant"] is True
        for name, _ in names_and_labels(target["expr"]):
            given |= known[name]
    (include,) = [t["options"]["include"]["names"] for t in panel["transformations"] if t["id"] == "filterFieldsByName"]
    (organize,) = [t["options"] for t in panel["transformations"] if t["id"] == "organize"]
    assert set(include) <= given
    assert set(organize["renameByName"]) == set(include)
    headings = set(organize["renameByName"].values())
    assert {o["matcher"]["options"] for o in panel["fieldConfig"]["overrides"]} <= headings


def test_links_lead_to_a_dashboard_and_variable_that_exist() -> None:
    urls = re.findall(r'"url": "([^"]+)"', json.dumps(DASHBOARD))
    assert urls
    for url in urls:
        assert url.startswith(f"/d/{DASHBOARD['uid']}?")
        used = set(re.findall(r"var-(\w+)=", url)) | set(re.findall(r"\$\{(\w+):queryparam\}", url))
        assert used <= VARIABLES.keys()
        assert "${__data.fields.Device}" in url


def test_variables_are_as_grafanas_linter_wants_them() -> None:
    assert VARIABLES["datasource"]["type"] == "datasource"
    assert VARIABLES["datasource"]["query"] == "prometheus"
    assert next(iter(VARIABLES)) == "datasource"
    for name in ("job", "instance"):
        variable = VARIABLES[name]
        assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".+")
    known = known_metrics()
    for name, variable in VARIABLES.items():
        if variable["type"] == "query":
            assert variable["refresh"] == 2
            assert variable["datasource"]["uid"] == "${datasource}"
            match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert match, name
            ((metric, _),) = names_and_labels(match[1])
            assert match[2] in known[metric] | {"job", "instance"}


def test_every_variable_that_is_used_exists_and_the_other_way_round() -> None:
    text = json.dumps({k: v for k, v in DASHBOARD.items() if k != "templating"}) + json.dumps([v.get("query") for v in VARIABLES.values()])
    used = {name for name in re.findall(r"\$\{?(\w+)", text) if not name.startswith("__")}
    assert used == VARIABLES.keys()


def test_provisioning_files_fit_together() -> None:
    (source,) = yaml.safe_load((FOLDER / "provisioning/datasources/prometheus.yml").read_text(encoding="utf-8"))["datasources"]
    (provider,) = yaml.safe_load((FOLDER / "provisioning/dashboards/latarnik.yml").read_text(encoding="utf-8"))["providers"]
    assert source["type"] == "prometheus"
    assert provider["type"] == "file"
    assert provider["options"]["path"].startswith("/")
    example = yaml.safe_load((Path(exporters.prometheus.__file__).parent / "prometheus.yml").read_text(encoding="utf-8"))
    assert source["jsonData"]["timeInterval"] == example["global"]["scrape_interval"]
