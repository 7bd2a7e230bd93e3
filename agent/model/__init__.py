"""What the agent talks about, as frozen values. No I/O here, and nothing that does any.

Unknown is a value: a missing key, a 404, a 403 on one interface is *unsupported* or *unknown*, never a fault, never "OK".
"""

from agent.model.case import Artifact, Case, Check, CheckAnswer, Deadline, Desk, Step, StepKind, StepState, TicketDraft, TicketRef
from agent.model.device import Contract, Credential, Device, HttpCredential, Secret, SnmpCredential, TlsMode, TlsPolicy
from agent.model.fault import Fault, FaultSpec, Healthy, Judgement, Severity, Text
from agent.model.history import History
from agent.model.incident import Incident, IncidentState
from agent.model.reading import Component, Identity, MetricKind, MetricSpec, Reading
from agent.model.snapshot import FacetOutcome, FacetStatus, Snapshot

__all__ = [
    "Artifact",
    "Case",
    "Check",
    "CheckAnswer",
    "Component",
    "Contract",
    "Credential",
    "Deadline",
    "Desk",
    "Device",
    "FacetOutcome",
    "FacetStatus",
    "Fault",
    "FaultSpec",
    "Healthy",
    "History",
    "HttpCredential",
    "Identity",
    "Incident",
    "IncidentState",
    "Judgement",
    "MetricKind",
    "MetricSpec",
    "Reading",
    "Secret",
    "Severity",
    "Snapshot",
    "SnmpCredential",
    "Step",
    "StepKind",
    "StepState",
    "Text",
    "TicketDraft",
    "TicketRef",
    "TlsMode",
    "TlsPolicy",
]
