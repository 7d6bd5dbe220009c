"""Questions about a scene with their true answers, and how a conversation about a picture is written for the model."""

from collections import Counter

import numpy as np

from scenes import COLOR_NAMES, NAMES, SHAPES, SIDE, THINGS, Scene, Thing

NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight"]
PLURALS = {"mouse": "mice", "sheep": "sheep", "fish": "fish", "wolf": "wolves", "leaf": "leaves"}
IN_ONE_WORD = " Answer in one word."


def plural(name: str) -> str:
    if name in PLURALS:
        return PLURALS[name]
    if name.endswith("y") and name[-2] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(("s", "x", "ch", "sh", "ato", "ano")) else f"{name}s"


def counted(number: int, name: str) -> str:
    """"a dog", "an orange star", "three mice"; of a name with a colour, the last word is the thing's."""
    *before, last = name.split(" ")
    if number == 1:
        return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
    return " ".join([NUMBERS[number], *before, plural(last)])


def listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def everything(scene: Scene) -> str:
    """From left to right, those of a name together."""
    names = Counter(thing.full_name for thing in sorted(scene.things, key=lambda thing: thing.x))
    return listed([counted(number, name) for name, number in names.items()])


def place_of(thing: Thing) -> str:
    third = lambda at, words: words[min(2, int(at * 3 / SIDE))]
    row, column = third(thing.y, ["top", "", "bottom"]), third(thing.x, ["left", "", "right"])
    return f"{row} {column}".strip() or "center"


def _alone(scene: Scene) -> list[Thing]:
    """Things whose name occurs once."""
    names = Counter(thing.name for thing in scene.things)
    return [thing for thing in scene.things if names[thing.name] == 1]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


# Each gives (question, sentence, one word), or None where a scene has no true answer to it; a word of "" is never asked for.


def _describe(scene, random):
    asked = ["Describe the picture.", "What do you see?", "What is in the picture?"][random.integers(3)]
    alone = scene.things[0].name if len(scene.things) == 1 else ""
    return asked, _sentence(f"{everything(scene)} on a {scene.ground} background".replace("a orange", "an orange")), alone


def _ground(scene, random):
    return "What color is the background?", f"The background is {scene.ground}.", scene.ground


def _color(scene, random):
    shapes = [thing for thing in _alone(scene) if thing.color]
    if not shapes:
        return None
    thing = shapes[random.integers(len(shapes))]
    return f"What color is the {thing.name}?", f"The {thing.name} is {thing.color}.", thing.color


def _shape(scene, random):
    colors = Counter(thing.color for thing in scene.things if thing.color)
    shapes = [thing for thing in scene.things if thing.color and colors[thing.color] == 1]
    if not shapes:
        return None
    thing = shapes[random.integers(len(shapes))]
    return f"What shape is {thing.color}?", f"The {thing.color} shape is a {thing.name}.".replace("a arrow", "an arrow"), thing.name


def _count(scene, random):
    if random.integers(3) == 0:
        number, name = len(scene.things), "thing"
    else:
        names = Counter(thing.name for thing in scene.things)
        name = list(names)[random.integers(len(names))]
        number = names[name]
    verb = "is" if number == 1 else "are"
    return f"How many {plural(name)} are there?", f"There {verb} {NUMBERS[number]} {name if number == 1 else plural(name)}.", NUMBERS[number]


def _is_there(scene, random):
    there = {thing.name for thing in scene.things}
    if random.integers(2):
        name = sorted(there)[random.integers(len(there))]
        return f"Is there {counted(1, name)}?", f"Yes, there is {counted(1, name)}.", "yes"
    pool = SHAPES if any(thing.color for thing in scene.things) and random.integers(2) else list(THINGS)
    name = pool[random.integers(len(pool))]
    return None if name in there else (f"Is there {counted(1, name)}?", f"No, there is no {name}.", "no")


def _where(scene, random):
    alone = _alone(scene)
    if not alone:
        return None
    thing = alone[random.integers(len(alone))]
    place = place_of(thing)
    return f"Where is the {thing.name}?", f"The {thing.name} is at the {place}.", "" if " " in place else place


def _what_is_at(scene, random):
    places = Counter(place_of(thing) for thing in scene.things)
    single = [thing for thing in scene.things if places[place_of(thing)] == 1]
    if not single:
        return None
    thing = single[random.integers(len(single))]
    return f"What is at the {place_of(thing)}?", _sentence(counted(1, thing.full_name)), thing.name


def _side(scene, random):
    alone = _alone(scene)
    if len(alone) < 2:
        return None
    first, second = (alone[i] for i in random.permutation(len(alone))[:2])
    across = abs(first.x - second.x) > abs(first.y - second.y)
    word = ("left of" if first.x < second.x else "right of") if across else ("above" if first.y < second.y else "below")
    other = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}[word]
    asked, answer = (word, "Yes") if random.integers(2) else (other, "No")
    return f"Is the {first.name} {asked} the {second.name}?", f"{answer}, the {first.name} is {word} the {second.name}.", answer.lower()


def _larger(scene, random):
    alone = _alone(scene)
    if len(alone) < 2:
        return None
    first, second = (alone[i] for i in random.permutation(len(alone))[:2])
    if max(first.size, second.size) < 1.3 * min(first.size, second.size):
        return None
    larger = first if first.size > second.size else second
    return f"Which is larger, the {first.name} or the {second.name}?", f"The {larger.name} is larger.", larger.name


KINDS = {"describe": _describe, "ground": _ground, "color": _color, "shape": _shape, "count": _count, "is there": _is_there, "where": _where, "what is at": _what_is_at, "side": _side, "larger": _larger}


def questions(scene: Scene, random: np.random.Generator, number: int) -> list[tuple[str, str, str]]:
    """(kind, question, answer) of different kinds, the description first; half of the others ask for one word."""
    kinds = ["describe", *(list(KINDS)[1:][i] for i in random.permutation(len(KINDS) - 1))]
    made = []
    for kind in kinds:
        asked = KINDS[kind](scene, random)
        if asked is None:
            continue
        question, sentence, word = asked
        short = bool(random.integers(2)) and word != ""
        made.append((kind, question + IN_ONE_WORD, word) if short else (kind, question, sentence))
        if len(made) == number:
            break
    return made


def concepts() -> dict[str, list[str]]:
    """What one feature of a picture can be told to hold, as words of the language model: what is there, its colour, how many there are in all."""
    return {"name": ["background", *NAMES], "color": COLOR_NAMES, "number": NUMBERS[1:]}
