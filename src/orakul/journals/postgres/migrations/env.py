"""What Alembic runs: the revisions, on the connection it is given."""

from alembic import context

from orakul.journals.postgres.connection import SCHEMA

context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema=SCHEMA,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
