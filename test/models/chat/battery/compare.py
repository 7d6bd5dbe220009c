"""Renders every chat template of a folder as transformers does and as the studio does, and says where they differ.

    python compare.py FOLDER [TEXT]

FOLDER holds templates (*.jinja) or models' folders with a tokenizer_config.json; TEXT names a conversation: its differences alone.
"""
import collections, datetime, json, pathlib, subprocess, sys
from transformers.utils import chat_template_utils
from conversations import ALL

HERE = pathlib.Path(__file__).parent
NOW = datetime.datetime(2026, 3, 9, 14, 7, 5)


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


chat_template_utils.datetime = Clock


def sources(folder):
    for file in sorted(folder.rglob("*.jinja")):
        with open(file, encoding="utf-8", newline="") as given:
            yield str(file.relative_to(folder)), given.read()
    for file in sorted(folder.rglob("tokenizer_config.json")):
        template = json.loads(file.read_text("utf-8")).get("chat_template") or []
        named = [{"name": "", "template": template}] if isinstance(template, str) else template
        yield from ((f"{file.parent.relative_to(folder)} {one['name']}", one["template"]) for one in named)


def expected(job):
    try:
        given = {key: job[key] for key in ("tools", "documents")}
        [text], _ = chat_template_utils.render_jinja_template(conversations=[job["messages"]], chat_template=job["source"],
            add_generation_prompt=job["asks"], bos_token=job["bos"], eos_token=job["eos"], **given)
        return {"text": text}
    except Exception as error:
        return {"why": f"{type(error).__name__}: {error}"}


def first_difference(a, b):
    at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return f"…{a[max(0, at - 40):at + 60]!r}\n      …{b[max(0, at - 40):at + 60]!r}"


def main(folder, only=""):
    jobs = [
        (name, chat, asks, {"source": source, "messages": messages, "tools": tools, "documents": documents, "asks": asks,
                            "bos": "<s>", "eos": "</s>", "now": NOW.isoformat()})
        for name, source in sources(pathlib.Path(folder))
        for chat, (messages, tools, documents) in ALL.items() if only in chat
        for asks in (False, True)
    ]
    lines = "".join(json.dumps(job) + "\n" for *_, job in jobs)
    done = subprocess.run(["node", "--import", "tsx", str(HERE / "render.ts")], input=lines, text=True, encoding="utf-8", stdout=subprocess.PIPE, check=True)
    count = collections.Counter()
    for (name, chat, asks, job), line in zip(jobs, done.stdout.splitlines(), strict=True):
        theirs, ours = expected(job), json.loads(line)
        kind = ("identical" if theirs == ours else "different") if "text" in theirs and "text" in ours else \
            "both refuse" if "why" in theirs and "why" in ours else "refused here alone" if "why" in ours else "rendered here alone"
        count[kind] += 1
        raised = theirs.get("why", "").startswith("TemplateError") and theirs["why"].removeprefix("TemplateError: ") not in ours.get("why", theirs["why"])
        if raised:
            count["refused with another sentence"] += 1
        if kind in ("identical", "both refuse") and not raised:
            continue
        shown = first_difference(theirs["text"], ours["text"]) if kind == "different" else f"{theirs}\n      {ours}"
        print(f"{kind}: {name}, {chat}{', asked' if asks else ''}\n      {shown[:600]}")
    print(f"{len(set(name for name, *_ in jobs))} templates, {len(jobs)} renderings: {dict(count)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
