"""The alert rules: tested by promtool, and checked against the catalogue and the runbook."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

import exporters.prometheus
from agent import plugins
from exporters.prometheus.own import OWN_METRICS

FOLDER = Path(exporters.prometheus.__file__).parent
DOCS = FOLDER.parent.parent / "docs"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((FOLDER / "rules/latarnik.yml").read_text(encoding="utf-8"))["groups"] for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]


@pytest.mark.parametrize(
    ("where", "command"),
    [("rules", ["check", "rules", "latarnik.yml"]), ("rules", ["test", "rules", "latarnik_test.yml"]), (".", ["check", "config", "prometheus.yml"])],
)
def test_promtool_is_content(where: str, command: list[str]) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: apt-get install prometheus"
    done = subprocess.run([promtool, *command], cwd=FOLDER / where, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test_that_sees_it_fire() -> None:
    tests = yaml.safe_load((FOLDER / "rules/latarnik_test.yml").read_text(encoding="utf-8"))["tests"]
    fired = {t["alertname"] for test in tests for t in test["alert_rule_test"] if t["exp_alerts"]}
    assert fired == {alert["alert"] for alert in ALERTS}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda a: a["alert"])
def test_an_alert_says_how_bad_it_is_and_leads_to_its_paragraph(alert: dict[str, Any]) -> None:
    name = alert["alert"]
    assert re.fullmatch(r"Latarnik[A-Z][A-Za-z]+", name)
    assert alert["labels"]["severity"] in {"info", "warning", "critical"}
    notes = alert["annotations"]
    assert "{{" not in notes["summary"], "a summary without values groups well"
    assert notes["description"]
    assert notes["runbook_url"] == f"docs/runbook.md#{name.lower()}"
    assert f"\n## {name}\n" in (DOCS / "runbook.md").read_text(encoding="utf-8")


def test_the_runbook_has_no_paragraph_for_an_alert_that_does_not_exist() -> None:
    headings = re.findall(r"^## (\w+)$", (DOCS / "runbook.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == [alert["alert"] for alert in ALERTS]


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.get("alert") or r["record"])
def test_a_rule_asks_only_for_metrics_that_exist(rule: dict[str, Any]) -> None:
    promql_parser.parse(rule["expr"])
    known = {m.name for m in plugins.metrics(plugins.collectors())} | {own.name for own in OWN_METRICS}
    known |= {f"site:{name}:{how}" for name in known for how in ("avg", "count")}
    used = set(re.findall(r"\b(?:site:)?latarnik_\w+(?::\w+)?", rule["expr"]))
    assert used or "up{" in rule["expr"]
    assert used <= known
