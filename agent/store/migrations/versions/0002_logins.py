"""Which credential versions some device ever accepted, and how many login attempts in a row got no answer."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "proven",
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("version"),
    )
    # SQLite gives the other columns of the row in which the least `at` stands.
    op.execute("INSERT INTO proven (version, device, at) SELECT version, device, min(at) FROM logins WHERE state = 'accepted' GROUP BY version")
    op.add_column("logins", sa.Column("unanswered", sa.Integer(), server_default="0", nullable=False))
    op.execute("UPDATE logins SET unanswered = 1 WHERE state = 'unanswered'")
    op.create_index("logins_version", "logins", ["version"], unique=False)


def downgrade() -> None:
    op.execute("DELETE FROM logins WHERE state = 'chosen'")
    op.execute("UPDATE logins SET state = 'accepted' WHERE state = 'retrying'")
    op.execute("UPDATE logins SET state = 'interrupted' WHERE state = 'unanswered' AND unanswered > 1")
    op.drop_index("logins_version", table_name="logins")
    with op.batch_alter_table("logins") as batch:
        batch.drop_column("unanswered")
    op.drop_table("proven")
