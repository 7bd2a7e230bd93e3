"""Poly VideoOS: Studio X bars, G7500, G62, and what hangs on them (Studio E70, TC8, TC10, microphones)."""

from agent.ports import CollectorPlugin
from collectors.poly.checklist import checklist
from collectors.poly.collector import start
from collectors.poly.evidence import EVIDENCE
from collectors.poly.facets import FACETS
from collectors.poly.faults import FAULTS, SHOWN_BY
from collectors.poly.metrics import METRICS
from collectors.poly.rules import RULES
from collectors.poly.settings import PolySettings

PLUGIN = CollectorPlugin(
    name="poly",
    settings=PolySettings,
    facets=FACETS,
    metrics=METRICS,
    faults=FAULTS,
    rules=RULES,
    evidence=EVIDENCE,
    checklist=checklist,
    start=start,
    shown_by=SHOWN_BY,
)
