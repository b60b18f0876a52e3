"""A small library to ask, made without media or a model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.features.text import TextEncoder, passage_vectors, passages, text_vectors
from pipeline.library.store import Library
from pipeline.types import Cue, Origin, Transcript, Video

SCRIPTS = {
    "Tie a bowline": [
        "Hello and welcome to the harbour.",
        "Hold the rope in your left hand.",
        "Make a small loop, the rabbit hole.",
        "The end comes up through the loop.",
        "Pass it behind the rope and back down the hole.",
        "Pull everything tight.",
        "Thanks for watching, see you soon.",
        "Next time we paint the boat.",
    ],
    "Boil an egg": [
        "Good morning from my kitchen.",
        "Fill the pot with cold water.",
        "Put the egg in with a spoon.",
        "Six minutes make a soft egg.",
        "Ten minutes make a hard egg.",
        "Cool it under the tap.",
        "Now set the table.",
        "Enjoy your breakfast.",
    ],
    "Mend a bicycle tube": [
        "Today my tyre is flat again.",
        "Lift the tyre off with two levers.",
        "Pump up the tube and listen for the hole.",
        "Roughen the rubber with sandpaper.",
        "Spread the glue and wait five minutes.",
        "Press the patch on firmly.",
        "Put the tyre back on the wheel.",
        "That was all.",
    ],
}


def cues_of(lines: Sequence[str], seconds: float = 5.0) -> tuple[Cue, ...]:
    return tuple(Cue(i * seconds, i * seconds + seconds - 0.4, line) for i, line in enumerate(lines))


def id_of(title: str) -> str:
    return hashlib.sha256(title.encode()).hexdigest()[:16]


def add(
    library: Library,
    title: str,
    lines: Sequence[str],
    encoder: TextEncoder | None,
    language: str = "en",
    tags: tuple[str, ...] = (),
) -> str:
    """Puts a video with this title and these lines in; without an encoder it is not indexed yet."""
    content = hashlib.sha256(title.encode()).hexdigest()
    cues = cues_of(lines)
    duration = cues[-1].end + 1 if cues else 10.0
    library.add_video(Video(content[:16], content, title, Path(f"/videos/{title}.mp4"), duration, tags=tags))
    library.set_transcript(content[:16], Transcript(cues, Origin.GIVEN, language))
    if encoder is not None:
        vectors = text_vectors(cues, encoder)
        library.set_index(
            content[:16], passages(cues), passage_vectors(vectors), encoder.name, vectors.pack()
        )
    return content[:16]


def fill(library: Library, encoder: TextEncoder, scripts: Mapping[str, Sequence[str]] = SCRIPTS) -> None:
    for title, lines in scripts.items():
        add(library, title, lines, encoder, tags=("sea",) if "bowline" in title else ("home",))
