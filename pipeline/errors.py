"""What can go wrong, named for the situation. Every message is one or two plain sentences for the
user and says what to do; facts are attributes; nothing here logs."""

from __future__ import annotations


class AnswerClipError(Exception):
    """The root: the app and the command line show its message and go on."""


class SourceUnavailable(AnswerClipError):
    """The link or file cannot be had (private, live, dead, gone, not a video)."""


class SourceGone(SourceUnavailable):
    """The site has it no more, or not for everybody: asking again later would not help."""


class SourceRefused(AnswerClipError):
    """The source could be had but is not allowed (limits, private addresses, schemes)."""


class AlreadyInLibrary(AnswerClipError):
    """The same video, by content or by site and id, is there already."""

    def __init__(self, message: str, video_id: str) -> None:
        super().__init__(message)
        self.video_id = video_id


class UnreadableMedia(AnswerClipError):
    """The file cannot be decoded as a video with picture."""


class SubtitlesFailed(AnswerClipError):
    """A subtitle file or track cannot be read."""


class TranscriptionFailed(AnswerClipError):
    """Speech recognition broke off."""


class WeightsMissing(AnswerClipError):
    """Model weights can be neither found nor fetched."""


class CheckpointMissing(WeightsMissing):
    """A trained checkpoint of this project is not there or is damaged."""


class DiskFull(AnswerClipError):
    """There is no space left for the library."""


class LibraryError(AnswerClipError):
    """The library folder or its database cannot be used as it is."""


class LibraryTooNew(LibraryError):
    """The database was written by a newer version of AnswerClip."""


class VideoNotFound(AnswerClipError):
    """No video with this id is in the library."""


class BadArchive(AnswerClipError):
    """A library archive is damaged or is none."""


class TrainingToolsMissing(AnswerClipError):
    """The packages that training needs are not installed."""


class BadDataset(AnswerClipError):
    """The files of a published data set are not in its format."""


class BadQuestion(AnswerClipError):
    """The question cannot be asked as it is (empty, filters that fit nothing)."""


class Cancelled(AnswerClipError):
    """The user stopped the job."""
