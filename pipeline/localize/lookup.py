"""The look-up table of MutualSL (section 2.3): the subtitle timeline, read both ways, that turns the rows of
a video (its seconds) into cues and cues into rows. In and out go indexes, for B videos at once.

A start goes to what starts nearest, an end to what ends nearest, each for itself, so a short span inside a
long cue may come out as one that ends before it starts; `matching` counts that as no match at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.localize.examples import Batch


@dataclass(frozen=True)
class LookUpTable:
    """Q of eq. 12 and 13."""

    cues: Tensor  # (B, r, 2) seconds
    cue_mask: Tensor  # (B, r)
    rows: Tensor  # (B, m, 2) seconds
    row_mask: Tensor  # (B, m)

    @classmethod
    def of(cls, batch: Batch) -> LookUpTable:
        """The table of a batch that has video rows; ValueError without."""
        if batch.visual_times is None or batch.visual_mask is None:
            raise ValueError("a look-up table needs the rows of the video")
        return cls(batch.times, batch.cue_mask, batch.visual_times, batch.visual_mask)

    def to_cues(self, first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. 12: the first and last cue (B,) for a first and last row (B,)."""
        start, end = seconds(self.rows, first, last)
        # Ties go to the later cue as they go to the earlier row below: there and back is the same cue.
        return (
            _nearest(self.cues[..., 0], self.cue_mask, start, later=True),
            _nearest(self.cues[..., 1], self.cue_mask, end, later=True),
        )

    def to_rows(self, first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. 13: the first and last row (B,) for a first and last cue (B,)."""
        start, end = seconds(self.cues, first, last)
        return _nearest(self.rows[..., 0], self.row_mask, start), _nearest(
            self.rows[..., 1], self.row_mask, end
        )


def seconds(times: Tensor, first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """When the unit `first` (B,) starts and the unit `last` (B,) ends, (B,) each; `times` (B, n, 2)."""
    return times[..., 0].gather(1, first[:, None])[:, 0], times[..., 1].gather(1, last[:, None])[:, 0]


def matching(times: Tensor, span: tuple[Tensor, Tensor], target: tuple[Tensor, Tensor]) -> Tensor:
    """Eq. 15: overlap over union (B,) of two spans of units, each (first, last) of (B,), by the units'
    `times` (B, n, 2). 0 where `span` ends before it starts.

    >>> times = torch.tensor([[[0.0, 2.0], [2.0, 4.0], [4.0, 8.0]]])
    >>> matching(times, (torch.tensor([0]), torch.tensor([1])), (torch.tensor([1]), torch.tensor([2])))
    tensor([0.2500])
    """
    (start, end), (begin, stop) = seconds(times, *span), seconds(times, *target)
    shared = (torch.minimum(end, stop) - torch.maximum(start, begin)).clamp(min=0)
    union = (end - start) + (stop - begin) - shared
    return torch.where((span[0] <= span[1]) & (union > 0), shared / union.clamp(min=1e-9), 0.0)


def _nearest(marks: Tensor, mask: Tensor, when: Tensor, later: bool = False) -> Tensor:
    """The real one of `marks` (B, n) nearest to `when` (B,); of equally near ones the first or the last."""
    distance = (marks - when[:, None]).abs().masked_fill(~mask, torch.inf)
    if later:
        return distance.shape[1] - 1 - distance.flip(1).argmin(1)
    return distance.argmin(1)
