"""Agreement with several people's answers, written from the official evaluation's published description and rules
(github.com/GT-Vision-Lab/VQA, PythonEvaluationTools/vqaEvaluation/vqaEval.py; visualqa.org/evaluation), one answer left out after the
other. Reads a JSON list of [answer, answers] from the file named, prints a list of numbers."""

import json
import re
import statistics
import sys

DIGITS = dict(none="0", zero="0", one="1", two="2", three="3", four="4", five="5", six="6", seven="7", eight="8", nine="9", ten="10")
# Those that the cases have.
CONTRACTIONS = {"dont": "don't", "couldnt've": "couldn't've", "couldn'tve": "couldn't've", "its": "its", "thats": "that's", "oclock": "o'clock", "yall'd've": "y'all'd've"}
PUNCTUATION = ";/[]\"{}()=+\\_-><@`,?!"


def processed(text: str) -> str:
    text = text.replace("\n", " ").replace("\t", " ").strip()
    out = text
    for mark in PUNCTUATION:
        bare = mark + " " in text or " " + mark in text or re.search(r"(\d)(,)(\d)", text) is not None
        out = out.replace(mark, "" if bare else " ")
    out = re.sub(r"(?!<=\d)(\.)(?!\d)", "", out)
    words = [DIGITS.get(word, word) for word in out.lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ("a", "an", "the"))


def agreement(answer: str, given: list[str]) -> float:
    ours, others = processed(answer), [processed(one) for one in given]
    scores = []
    for left_out in range(len(others)):
        rest = [one for i, one in enumerate(others) if i != left_out]
        scores.append(min(1, sum(one == ours for one in rest) / 3))
    return statistics.fmean(scores)


with open(sys.argv[1], encoding="utf-8") as file:
    print(json.dumps([agreement(answer, given) for answer, given in json.load(file)]))
