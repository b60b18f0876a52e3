"""Forty questions about the demo library: thirty with the sentences that answer them, ten without.

An answer is named by video, section and its first and last sentence (from 0), so that its times always
follow the narration. The wording is meant to be a user's, who has not heard the video.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .narration import Line
from .stage import Film

ANSWERED = (
    ("Where on my foot does the bandage begin?", "wrap-a-sprained-ankle", "first turns", 0, 2),
    ("How can I tell that the wrap is cutting off the blood?", "wrap-a-sprained-ankle", "check", 1, 2),
    ("What do I do with a hurt ankle and its wrap at bedtime?", "wrap-a-sprained-ankle", "care", 0, 1),
    ("How long do I keep a scald under the tap?", "cool-a-burn", "cooling", 0, 2),
    ("Is butter any good on burnt skin?", "cool-a-burn", "not on the burn", 1, 2),
    ("What can I put over a burn so that nothing clings to it?", "cool-a-burn", "covering", 0, 3),
    ("Which part of the ribcage do I press on in CPR?", "hands-only-cpr", "hand position", 0, 3),
    ("How deep and how quickly should chest compressions be?", "hands-only-cpr", "compressions", 1, 2),
    ("He makes odd gasping sounds, is he breathing?", "hands-only-cpr", "check", 1, 2),
    ("How do I get a bike tyre off the rim?", "change-a-bicycle-tube", "levers", 0, 2),
    (
        "Why would a brand new tube be flat again the next day?",
        "change-a-bicycle-tube",
        "find the cause",
        1,
        2,
    ),
    ("What pressure should I inflate my bicycle tyre to?", "change-a-bicycle-tube", "inflate", 1, 2),
    ("How much bigger should the next flowerpot be?", "repot-a-house-plant", "choose a pot", 0, 2),
    ("My plant won't come out of its pot, what now?", "repot-a-house-plant", "take it out", 1, 2),
    ("When can I start feeding a freshly potted plant again?", "repot-a-house-plant", "water and rest", 2, 2),
    ("Which knot stops a line from slipping through a pulley?", "tie-three-knots", "figure eight", 0, 3),
    (
        "Once I have the small loop for a bowline, where does the rope go?",
        "tie-three-knots",
        "bowline, the rabbit",
        0,
        2,
    ),
    ("How do I fix a boat line to a pole fast?", "tie-three-knots", "clove hitch", 0, 3),
    ("At what tilt do I hold the blade against the whetstone?", "sharpen-a-kitchen-knife", "angle", 0, 2),
    ("How do I know when one side of the blade is done?", "sharpen-a-kitchen-knife", "burr", 0, 2),
    ("Can good kitchen knives go in the dishwasher?", "sharpen-a-kitchen-knife", "test and care", 1, 1),
    ("How much coffee do I need for one cup?", "make-pour-over-coffee", "weigh and grind", 0, 1),
    (
        "Why do I have to wait after the first splash of water on the coffee?",
        "make-pour-over-coffee",
        "bloom",
        1,
        2,
    ),
    ("My filter coffee comes out sour, what should I change?", "make-pour-over-coffee", "taste", 0, 0),
    ("How do I leave some space under a button for thick fabric?", "sew-on-a-button", "shank", 0, 2),
    ("How do I find the exact spot for a missing button?", "sew-on-a-button", "find the place", 0, 1),
    ("What is different about buttons on a winter jacket?", "sew-on-a-button", "tips", 0, 0),
    (
        "Which holes of the multimeter do I plug the cables into?",
        "test-a-fuse-with-a-multimeter",
        "set the meter",
        0,
        0,
    ),
    ("What reading means that a fuse still works?", "test-a-fuse-with-a-multimeter", "measure", 0, 1),
    ("May I put in a stronger fuse if that is all I have?", "test-a-fuse-with-a-multimeter", "replace", 0, 1),
)

UNANSWERED = (
    "How do I resuscitate a baby?",
    "How do I glue a patch on a punctured tube?",
    "How do I grow a new plant from a cutting?",
    "How do I join two ropes of different thickness?",
    "How do I sharpen a serrated bread knife?",
    "How do I froth milk for a cappuccino?",
    "How do I sew in a new zip?",
    "How do I measure the voltage of a car battery?",
    "How do I stop a nosebleed?",
    "How do I file my tax return?",
)


def resolve(films: Sequence[Film], tables: Mapping[str, Sequence[Line]]) -> list[dict[str, object]]:
    """The rows of questions.json: each answer's times looked up in its video's table of sentences."""
    rows: list[dict[str, object]] = []
    known = {film.file: film for film in films}
    for question, file, section, first, last in ANSWERED:
        number = [part.name for part in known[file].sections].index(section)
        lines = [line for line in tables[file] if line.section == number]
        rows.append(
            {
                "question": question,
                "video": f"{file}.mp4",
                "start": lines[first].start,
                "end": lines[last].end,
            }
        )
    rows += [{"question": question, "video": None, "start": None, "end": None} for question in UNANSWERED]
    return rows
