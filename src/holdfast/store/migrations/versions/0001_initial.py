"""The schema as first released: tables, policies, partitions, functions. `sql_0001/` holds it, in the order run."""

from holdfast.store.migrations.run_sql import run_folder

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    run_folder("sql_0001")
