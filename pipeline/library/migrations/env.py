"""What Alembic runs: the upgrade on the connection that `migrate` hands over, inside its transaction."""

from __future__ import annotations

from alembic import context

from pipeline.library.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
)
context.run_migrations()
