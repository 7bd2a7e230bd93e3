"""What several devices share: the cause of an incident, the one it is part of, and when it began."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Incidents from before are part of nothing; those of the shared causes get theirs at their device's next poll.
    op.add_column("incidents", sa.Column("cause", sa.String(), server_default="", nullable=False))
    op.add_column("incidents", sa.Column("parent", sa.String(), server_default="", nullable=False))
    op.add_column("incidents", sa.Column("since", sa.Float(), server_default="0", nullable=False))
    op.create_index("incidents_cause", "incidents", ["cause", "parent", "state"], unique=False)
    op.create_index("incidents_parent", "incidents", ["parent", "state"], unique=False)
    op.create_index("incidents_since", "incidents", ["parent", "since"], unique=False)


def downgrade() -> None:
    op.drop_index("incidents_since", table_name="incidents")
    op.drop_index("incidents_parent", table_name="incidents")
    op.drop_index("incidents_cause", table_name="incidents")
    # One by one, not as a batch: that would build the table anew and lose the condition of its unique index.
    op.drop_column("incidents", "since")
    op.drop_column("incidents", "parent")
    op.drop_column("incidents", "cause")
