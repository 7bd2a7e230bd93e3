"""The tables. Values that are read as a whole are kept as JSON of the model's dataclasses; what is searched for has a column."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, MetaData, String, Table, Text, text

metadata = MetaData()

histories = Table(
    "histories",
    metadata,
    Column("device", String, primary_key=True),
    Column("value", Text, nullable=False),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", String, primary_key=True),
    Column("key", String, nullable=False),
    Column("device", String, nullable=False),
    Column("state", String, nullable=False),
    Column("value", Text, nullable=False),
    Column("cause", String, nullable=False, server_default=""),
    Column("parent", String, nullable=False, server_default=""),
    Column("since", Float, nullable=False, server_default="0"),
)
# Promise 4, in the database's own words: one fault has one open incident.
Index("incidents_open_key", incidents.c.key, unique=True, sqlite_where=text("state != 'closed'"))
Index("incidents_device", incidents.c.device, incidents.c.state)
# What several devices share: the incidents of a cause that stand for themselves, and those that are part of one of them.
Index("incidents_cause", incidents.c.cause, incidents.c.parent, incidents.c.state)
Index("incidents_parent", incidents.c.parent, incidents.c.state)
Index("incidents_since", incidents.c.parent, incidents.c.since)

cases = Table(
    "cases",
    metadata,
    Column("id", String, primary_key=True),
    Column("incident", String, nullable=False, unique=True),
    Column("device", String, nullable=False),
    Column("state", String, nullable=False),
    Column("value", Text, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", String, primary_key=True),
    Column("case_id", String, nullable=False),
    Column("desk", String, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("state", String, nullable=False),
    Column("value", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("created_at", Float, nullable=False),
    Column("next_at", Float, nullable=False),
    Column("last_error", Text, nullable=False, server_default=""),
)
Index("outbox_order", outbox.c.desk, outbox.c.case_id, outbox.c.seq, unique=True)

ticket_table = Table(
    "tickets",
    metadata,
    Column("case_id", String, primary_key=True),
    Column("desk", String, primary_key=True),
    Column("ref", String, nullable=False),
    Column("url", String, nullable=False, server_default=""),
    Column("state", String, nullable=False),
)

logins = Table(
    "logins",
    metadata,
    Column("device", String, primary_key=True),
    Column("version", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("credential", String, nullable=False),
    Column("way", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("detail", Text, nullable=False, server_default=""),
    Column("unanswered", Integer, nullable=False, server_default="0"),
)
Index("logins_version", logins.c.version)

# Versions of credentials that some device accepted, and which was the first. Outlives the notes above: what was proven once stays proven.
proven = Table(
    "proven",
    metadata,
    Column("version", String, primary_key=True),
    Column("device", String, nullable=False),
    Column("at", Float, nullable=False),
)

fingerprints = Table(
    "fingerprints",
    metadata,
    Column("device", String, primary_key=True),
    Column("endpoint", String, primary_key=True),
    Column("accepted", String, nullable=False, server_default=""),
    Column("accepted_by", String, nullable=False, server_default=""),
    Column("offered", String, nullable=False, server_default=""),
    Column("at", Float, nullable=False),
)

memory = Table(
    "memory",
    metadata,
    Column("device", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("value", Text, nullable=False),
)
