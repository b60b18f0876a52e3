"""The stages of every kind of job, and the arithmetic of "how far" and "how long still".

A stage's expected seconds serve twice: as its weight in the whole job, and as the estimate for stages
that have not begun. The stage under way is judged by its own rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

STAGES = ("fetch", "probe", "normalise", "subtitles", "text vectors", "reading", "index")
STAGES_OF = {
    "add": STAGES,
    "retranscribe": ("subtitles", "text vectors", "reading", "index"),
    "reindex": ("text vectors",),
    "reading": ("reading",),
    "pictures": ("picture features",),
}
UNKNOWN_DURATION = 300.0  # seconds, until the file is probed


def expected_seconds(stage: str, plan: Mapping[str, object]) -> float:
    """What `stage` takes on two ordinary cores, from what is known of the video.

    `plan` may hold `duration` (seconds of video) and the flags `link`, `encode` and `speech`.

    >>> expected_seconds("subtitles", {"duration": 600.0, "speech": True})
    153.0
    >>> expected_seconds("subtitles", {"duration": 600.0})
    0.3
    """
    known = plan.get("duration")
    duration = float(known) if isinstance(known, int | float) and known > 0 else UNKNOWN_DURATION
    if stage == "fetch":
        return 5 + 0.1 * duration if plan.get("link") else 0.1
    if stage == "probe":
        return 0.3 + 0.001 * duration
    if stage == "normalise":
        return 2 + 0.25 * duration if plan.get("encode") else 0.5 + 0.002 * duration
    if stage == "subtitles":
        return 3 + 0.25 * duration if plan.get("speech") else 0.3
    if stage == "text vectors":
        return 1 + 0.006 * duration
    if stage == "reading":
        return 1 + 0.0015 * duration
    if stage == "picture features":
        return 3 + 0.1 * duration
    return 0.3


def job_fraction(
    stages: Sequence[str], stage: str, stage_fraction: float | None, plan: Mapping[str, object]
) -> float:
    """The whole job in 0..1, each stage weighted by the time it is expected to take.

    >>> job_fraction(STAGES, "fetch", None, {})
    0.0
    >>> job_fraction(("text vectors",), "text vectors", 0.25, {})
    0.25
    """
    if stage not in stages:
        return 0.0
    weights = [expected_seconds(name, plan) for name in stages]
    at = stages.index(stage)
    done = sum(weights[:at]) + weights[at] * (stage_fraction or 0.0)
    return min(1.0, done / sum(weights))


def stage_rest(elapsed: float, begun_at: float, fraction: float | None, expected: float) -> float:
    """Seconds that the stage under way still takes.

    `begun_at` is the fraction at which this run took the stage up: a resumed transcription does not
    count what an earlier run did as its own speed.

    >>> stage_rest(elapsed=10.0, begun_at=0.0, fraction=0.25, expected=1.0)
    30.0
    >>> stage_rest(elapsed=10.0, begun_at=0.5, fraction=0.75, expected=1.0)
    10.0
    """
    gained = (fraction or 0.0) - begun_at
    if fraction is None or elapsed < 1.0 or gained < 0.01:
        return max(0.0, expected * (1 - (fraction or 0.0)) - elapsed)
    return elapsed * (1 - fraction) / gained


def remaining_seconds(
    stages: Sequence[str],
    stage: str,
    *,
    elapsed: float,
    begun_at: float,
    fraction: float | None,
    plan: Mapping[str, object],
) -> float | None:
    """Seconds until the job is done, None while nothing can be said."""
    if stage not in stages:
        return None
    rest = stage_rest(elapsed, begun_at, fraction, expected_seconds(stage, plan))
    later = stages[stages.index(stage) + 1 :]
    return rest + sum(expected_seconds(name, plan) for name in later)
