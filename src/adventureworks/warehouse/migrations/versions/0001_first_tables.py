"""The tables as they were before migrations were numbered."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create what is missing."""
    op.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
