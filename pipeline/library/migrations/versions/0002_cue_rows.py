"""Adds the rows that a localizer makes of a video's cues when the video is added.

The table begins empty: the worker makes the rows of the videos that are there.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cue_rows",
        sa.Column(
            "video_number",
            sa.Integer(),
            sa.ForeignKey("videos.number", ondelete="CASCADE"),
            primary_key=True,
            nullable=False,
        ),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("cues", sa.Integer(), nullable=False),
        sa.Column("dim", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
    )
    op.create_index("cue_rows_by_model", "cue_rows", ["model", "video_number"])


def downgrade() -> None:
    raise NotImplementedError("A library is not taken back to an older schema; use the copy made before.")
