"""The videos found, as localizers read them: words, vectors and features, kept between questions."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from pipeline.features.text import TextVectors
from pipeline.library.store import Library
from pipeline.localize import Candidate, Localizer
from pipeline.recent import Recent
from pipeline.retrieve import Hit
from pipeline.types import Filters

log = logging.getLogger(__name__)

_KEPT = 256  # videos whose words and vectors stay in memory
_KEPT_FEATURES = 512 << 20  # bytes of what was made of their pictures and cues; two hours have 35 MB


class Unprepared(Exception):
    """Some of the videos found were not read yet by the localizer, which reads ahead."""


def unread(candidate: Candidate, localizer: Localizer) -> bool:
    """Whether the localizer takes rows that this video does not have yet."""
    return bool(localizer.reading and candidate.cues) and candidate.read is None


class Candidates:
    """The candidates of one library."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._known = Recent[Candidate](_KEPT, _KEPT_FEATURES, _bytes_of_features)

    def of(self, hits: Sequence[Hit], localizer: Localizer, encoder: str) -> list[Candidate]:
        """The videos as this localizer reads them: with the vectors of the text encoder of this name, with
        picture features, and with the rows that it made of their cues ahead, where it takes them and there
        are any."""
        state = (self._library.revision(), localizer.uses_pictures, localizer.reading, encoder)
        known = {hit.video_id: self._known.get((state, hit.video_id)) for hit in hits}
        missing = [video for video, candidate in known.items() if candidate is None]
        for candidate in self._read(missing, localizer, encoder):
            known[candidate.video_id] = candidate
            if not unread(candidate, localizer):  # what is made later does not change the revision
                self._known.put((state, candidate.video_id), candidate)
        return [c.scored(hit.score) for hit in hits if (c := known[hit.video_id]) is not None]

    def _read(self, ids: Sequence[str], localizer: Localizer, encoder: str) -> Iterator[Candidate]:
        if not ids:  # no restriction at all would list the whole library
            return
        seen = self._library.picture_features(ids) if localizer.uses_pictures else {}
        read = self._library.cue_rows(ids, localizer.reading) if localizer.reading else {}
        transcripts = self._library.transcripts(ids, words=False)
        packed = self._library.text_vectors(ids)
        for video in self._library.videos(filters=Filters(video_ids=tuple(ids))):
            transcript = transcripts.get(video.id)
            if transcript is None:
                continue
            count, rows = len(transcript.cues), read.get(video.id)
            yield Candidate(
                video.id,
                transcript.cues,
                _unpacked(packed.get(video.id), count, encoder),
                title=video.title,
                visual=seen.get(video.id),
                read=rows if rows is not None and len(rows) == count else None,
                duration=video.duration,
            )


def _unpacked(packed: tuple[str, bytes] | None, cues: int, encoder: str) -> TextVectors | None:
    """None where the vectors are missing, of another encoder, or of an older transcript."""
    if packed is None or packed[0] != encoder:
        return None
    try:
        vectors = TextVectors.unpack(packed[1])
    except ValueError:
        log.warning("damaged text vectors; ask the worker to make them again", exc_info=True)
        return None
    return vectors if vectors.cue_count == cues else None


def _bytes_of_features(candidate: Candidate) -> int:
    return sum(rows.nbytes for rows in (candidate.visual, candidate.read) if rows is not None)
