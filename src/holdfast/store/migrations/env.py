"""Alembic's entry: upgrades on the connection, and in the transaction, that `holdfast.store.migrate` opened."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="schema_version",
    version_table_schema="holdfast",
)
context.run_migrations()
