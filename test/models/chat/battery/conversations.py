"""Conversations of every kind that datasets hold: name -> (messages, tools, documents)."""

TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "The weather of a city", "parameters": {
        "type": "object", "required": ["city"], "properties": {
            "city": {"type": "string", "description": "Its name, e.g. “Tromsø”"},
            "unit": {"type": "string", "enum": ["°C", "°F"], "default": "°C"},
            "days": {"type": ["integer", "null"], "description": "How many"},
            "at": {"type": "object", "properties": {"items": {"type": "array", "items": {"type": "number"}}}}}}}},
    {"type": "function", "function": {"name": "now", "description": "The time", "parameters": {"type": "object", "properties": {}}}},
]
DOCUMENTS = [{"title": "Fjords", "text": "Deep & <long>."}, {"title": "Sæter", "text": "A farm\nin the hills."}]


def user(text="Hi"):
    return {"role": "user", "content": text}


def answer(text="Hello", **more):
    return {"role": "assistant", "content": text, **more}


def system(text="Be brief."):
    return {"role": "system", "content": text}


def call(name="weather", arguments=None, id="abc123DEF"):
    arguments = {"city": "Tromsø", "days": 2, "near": [69.65, None, True, {"a\"b": "c'd"}]} if arguments is None else arguments
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def result(text='{"t": -3.5}', id="abc123DEF", **more):
    return {"role": "tool", "content": text, "tool_call_id": id, **more}


def part(text):
    return {"type": "text", "text": text}


ASK = user("How cold is it?")
CHATS = {
    "a question": [user()],
    "a system text": [system(), user()],
    "an answer": [user(), answer()],
    "two turns": [system(), user(), answer(), user("And?"), answer("Nothing."), user("Bye")],
    "white space": [system("  s \n"), user("\n\n x  y \t"), answer("\n  a\n\n"), user(" z ")],
    "signs": [user("é😀 <b>&'\"</b> {{ x }} {% if %} \\n \u3000\u200b"), answer("漢字 `code` [INST] <|im_end|>")],
    "nothing said": [system(""), user(""), answer(""), user("x")],
    "a long text": [user("word " * 3000), answer("line\n" * 500)],
    "many turns": [system()] + [m for i in range(12) for m in (user(f"q{i}"), answer(f"a{i}"))] + [user("last")],
    "system late": [user(), system("late"), user("x")],
    "two systems": [system(), system("More."), user(), answer()],
    "only a system text": [system()],
    "two questions": [user("a"), user("b"), answer()],
    "two answers": [user(), answer("a"), answer("b")],
    "an answer first": [answer(), user()],
    "a developer": [{"role": "developer", "content": "Dev."}, user(), answer()],
    "an unknown role": [user(), {"role": "critic", "content": "Hm."}],
    "a name": [{"role": "user", "content": "Hi", "name": "Ann"}, answer()],
    "a thought": [user(), answer("Four.", reasoning_content="2 + 2\n= 4"), user("Sure?"), answer("Yes.", reasoning_content="I am.\n")],
    "a thought by another name": [user(), answer("Four.", thinking="2 + 2"), user("Sure?")],
    "a thought in the text": [user(), answer("<think>\n2 + 2\n</think>\n\nFour."), user("Sure?"), answer("<think>\nI am.\n</think>\n\nYes.")],
    "an unclosed thought": [user(), answer("Four.</think>x"), user(), answer("<think>y")],
    "parts": [{"role": "user", "content": [part("Look "), part("here")]}, answer()],
    "parts everywhere": [{"role": r, "content": [part("a"), part(" b\n")]} for r in ("system", "user", "assistant")],
    "a picture": [{"role": "user", "content": [{"type": "image"}, part("What is it?")]}, answer("A fjord")],
    "nulls": [{"role": "user", "content": "Hi", "name": None, "tool_calls": None}, answer("a", reasoning_content=None, tool_calls=None), user("b")],
    "an answer that is null": [user(), answer(None), user("b")],
    "no content": [user(), {"role": "assistant"}, user("b")],
}
WITH_TOOLS = {
    "tools": [ASK],
    "tools and a system text": [system(), ASK],
    "a call": [system(), ASK, answer(None, tool_calls=[call()])],
    "a call and its result": [ASK, answer(None, tool_calls=[call()]), result(), answer("Cold.")],
    "a call without content": [ASK, {"role": "assistant", "tool_calls": [call()]}, result(), answer("Cold."), user("Thanks")],
    "a call with text": [ASK, answer("I look.", tool_calls=[call()]), result()],
    "an empty content": [ASK, answer("", tool_calls=[call()]), result()],
    "arguments as a text": [ASK, answer("", tool_calls=[call(arguments='{"city": "Oslo", "days": 1}')]), result()],
    "no arguments": [ASK, answer("", tool_calls=[call("now", {})]), result("12:00")],
    "two calls": [ASK, answer("", tool_calls=[call(), call("now", {}, "xyz789ABC")]), result(), result("12:00", "xyz789ABC"), answer("Cold at noon.")],
    "calls in two turns": [ASK, answer("", tool_calls=[call()]), result(name="weather"), answer("", tool_calls=[call("now", {}, "xyz789ABC")]), result("12:00", "xyz789ABC", name="now"), answer("Cold at noon."), user("Thanks"), answer("Bye")],
    "a thought before a call": [ASK, answer("", reasoning_content="Where?", tool_calls=[call()]), result(), answer("Cold.", reasoning_content="Brr.")],
    "a call in an earlier turn": [ASK, answer("", reasoning_content="Where?", tool_calls=[call()]), result(), answer("Cold."), user("Thanks"), answer("Bye", reasoning_content="Done.")],
    "a call without its wrapping": [ASK, answer("", tool_calls=[{"name": "weather", "arguments": {"city": "Oslo"}}]), result()],
    "a call without an id": [ASK, answer("", tool_calls=[{"type": "function", "function": {"name": "now", "arguments": {}}}]), {"role": "tool", "content": "12:00"}],
    "a result in parts": [ASK, answer("", tool_calls=[call()]), {"role": "tool", "tool_call_id": "abc123DEF", "content": [part("-3"), part(".5")]}],
    "a result that is an object": [ASK, answer("", tool_calls=[call()]), {"role": "tool", "tool_call_id": "abc123DEF", "content": {"t": -3.5}}],
    "no call": [system(), ASK, answer("Cold.")],
}
ALL = (
    {name: (chat, None, None) for name, chat in CHATS.items()}
    | {name: (chat, TOOLS, None) for name, chat in WITH_TOOLS.items()}
    | {f"{name}, tools not said": (WITH_TOOLS[name], None, None) for name in ("a call and its result", "two calls", "a thought before a call")}
    | {"tools without a wrapping": ([ASK], [t["function"] for t in TOOLS], None)}
    | {"documents": ([user()], None, DOCUMENTS), "documents and tools": ([system(), ASK], TOOLS, DOCUMENTS), "documents, answered": ([system(), user(), answer(), user("And?")], None, DOCUMENTS)}
)
