"""What Alembic runs to render the migrations. It never connects: see `adventureworks.warehouse.migrations`."""

from alembic import context

from adventureworks.warehouse.migrations import TABLE

context.configure(dialect_name="postgresql", version_table=TABLE, version_table_schema="ops")
context.run_migrations()
