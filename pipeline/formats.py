"""What to take of what a site offers: one or two media formats and the captions worth having."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.types import Origin


def pick_formats(context: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What to download of what the site offers: H.264 with AAC up to 720p, as picture and sound apart
    or as one file, whatever is better; other codecs and sizes where there is nothing else."""
    formats = [one for one in context["formats"] if not one.get("has_drm") and _is_native(one)]
    whole = [one for one in formats if _has(one, "vcodec") and _has(one, "acodec")]
    pictures = [one for one in formats if _has(one, "vcodec") and one.get("acodec") == "none"]
    sounds = [one for one in formats if _has(one, "acodec") and one.get("vcodec") == "none"]
    best = max(whole + (pictures if sounds or not whole else []), key=_rank, default=None)
    if best is None:
        return
    yield best
    if best.get("acodec") == "none" and sounds:
        languages = [one.get("language_preference") or -1 for one in sounds]
        spoken = [one for one, rank in zip(sounds, languages, strict=True) if rank == max(languages)]
        yield max(spoken, key=lambda one: (_is_aac(one), one.get("abr") or one.get("tbr") or 0))


def _is_native(one: Mapping[str, Any]) -> bool:
    """Whether yt-dlp fetches it by itself, over http."""
    protocol = one.get("protocol") or "https"
    return protocol in ("http", "https", "m3u8", "m3u8_native", "http_dash_segments")


def _has(one: Mapping[str, Any], track: str) -> bool:
    return one.get(track) != "none"  # an unknown codec counts: sites with plain files do not say it


def _is_aac(one: Mapping[str, Any]) -> bool:
    return (one.get("acodec") or "").startswith(("mp4a", "aac"))


def _rank(one: Mapping[str, Any]) -> tuple:
    height = one.get("height") or 0
    fits = 0 < height <= 720
    playable = (one.get("vcodec") or "avc").startswith(("avc", "h264"))
    plain = (one.get("protocol") or "https") in ("http", "https")
    return (fits, height if fits else -height, playable, plain, _has(one, "acodec"), one.get("tbr") or 0)


def pick_captions(info: Mapping[str, Any], language: str = "") -> list[tuple[str, Origin, dict]]:
    """The site's captions worth having as `(language, origin, format)`, the best first.

    People's captions come before the site's automatic ones; machine translations are never taken.
    """
    spoken = language or info.get("language") or ""
    human = {key: value for key, value in (info.get("subtitles") or {}).items() if key != "live_chat"}
    automatic = {
        key: value
        for key, value in (info.get("automatic_captions") or {}).items()
        if not any("tlang=" in str(one.get("url", "")) for one in value)
    }
    wanted = [(human, Origin.SITE_HUMAN), (automatic, Origin.SITE_AUTOMATIC)]
    picked = []
    for tracks, origin in wanted:
        key = _best_language(tracks, spoken)
        one = _best_caption_format(tracks.get(key, ()), words=origin is Origin.SITE_AUTOMATIC)
        if one:
            picked.append((key.removesuffix("-orig"), origin, one))
    return picked


def _best_language(tracks: Mapping[str, Any], spoken: str) -> str:
    def rank(key: str) -> tuple:
        short = key.partition("-")[0].lower()
        return (
            key.endswith("-orig"),
            bool(spoken) and short == spoken.partition("-")[0].lower(),
            short == "en",
            -len(key),
        )

    return max(tracks, key=rank, default="")


def _best_caption_format(formats: Sequence[dict], words: bool) -> dict | None:
    """json3 holds the time of each word, which only automatic captions have."""
    order = ["json3", "vtt", "srt"] if words else ["vtt", "srt", "json3"]
    plain = [one for one in formats if one.get("ext") in order and "m3u8" not in str(one.get("protocol"))]
    return min(plain, key=lambda one: order.index(one["ext"]), default=None)
