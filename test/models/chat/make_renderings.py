"""What transformers renders: `python make_renderings.py > renderings.json`. Each template alone, with its conversation."""
import json
from transformers.utils.chat_template_utils import render_jinja_template

CHAT = [{"role": "system", "content": "S"}, {"role": "user", "content": "  x y  "}, {"role": "assistant", "content": "\n  a\n"}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"items": {"type": "string"}}}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": {"city": "Oslo", "é": [1, 2.5, None, True]}}}
CALLS = [{"role": "user", "content": "Weather?"}, {"role": "assistant", "content": None, "tool_calls": [CALL]}, {"role": "tool", "content": "3", "tool_call_id": "c1"}]

TEMPLATES = [
    "{{ messages[2].content.lstrip('\\n') }}|{{ messages[2].content.strip() }}|{{ 'xxhixx'.strip('x') }}|{{ '-- a'.lstrip('- ') }}",
    "{% set x = 1 %}{% for m in messages %}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}{% if true %}{% set x = 9 %}{% endif %}{{ x }}",
    "{{ 1 == 1.0 }} {{ '1' == 1 }} {{ true == 1 }} {{ [] == [] }} {{ {'a': 1} == {'a': 1} }} {{ (1, 2) == [1, 2] }}",
    "{{ true }} {{ none }} {{ 1.0 }} {{ 3 / 2 }} {{ 4 / 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 2 ** 3 ** 2 }} {{ 0.1 + 0.2 }} {{ 1e16 }} {{ 0.00001 }}",
    "{{ ['a', 1, none, true, 1.5, 'it\\'s', (1,)] }} {{ {'a': 'b\\'c', 1: []} }} {{ {'a': 1}.items() }}",
    "{{ {'b': 1, 'a': [1, 2.0, none, true, 'é<\"&'], 'c': {}} | tojson }} {{ {'b': 1, 'a': [1]} | tojson(indent=2) }} {{ 'é😀' | tojson(ensure_ascii=true) }}",
    "{{ '😀a' | length }}{{ '😀a'[0] }}{{ '😀ab'[:2] }}{{ '😀ab'[::-1] }}{{ messages[1:] | length }}{{ 'abcdef'[1:-1:2] }}",
    "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m.role }}{% if loop.last %}{% break %}{% endif %},{% endfor %}",
    "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}{%- generation -%} q {%- endgeneration -%} r",
    "{% set ns = namespace(l=[]) %}{% for m in messages %}{% set ns.l = ns.l + [m.role] %}{% endfor %}{{ ns.l }}{% macro f(a, b='d') %}[{{ a }}{{ b }}]{% endmacro %}{{ f('x') }}{{ f(b=1, a=2) }}",
    "{% macro f() %}<{{ caller(1) }}>{% endmacro %}{% call(n) f() %}in{{ n }}{% endcall %}{% filter upper %}abc{% endfilter %}{% set z %} a {% endset %}{{ z | trim }}",
    "a  {%- if true -%}  b  {%- endif %}  c\n{% if true %}\nd\n{% endif %}\ne\n   {% if true %}\n  f\n   {% endif %}\n{{ 'g' }}\n{# c #}\nh\n",
    "{% raw %}{{ x }}{% endraw %}[{{ foo }}]{{ foo is defined }}{{ foo is none }}{{ foo | default('d') }}{{ 'a' if false }}{{ tools is none }}{{ documents is none }}",
    "{{ messages | map(attribute='role') | join(',') }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ ['B', 'a'] | sort }} {{ 3.14159 | round(2) }} {{ 2.5 | round }} {{ 'a b' | title }}",
    "{% for k, v in {'b': 1, 'a': 2} | dictsort %}{{ k }}{{ v }}{% endfor %}{% for t in messages recursive %}{{ loop.depth }}{% endfor %}{{ 1 < 2 < 3 }}{{ not 'z' in ['a'] }}{{ 'a' ~ 1 ~ none }}",
    "{{ 'a,b,c'.split(',', 1) }}{{ ' a  b '.split() }}{{ 'a b c'.rsplit(none, 1) }}{{ 'abc'.partition('b') }}{{ 'aaa'.replace('a', 'b', 2) }}{{ 'abc'.startswith(('x', 'a')) }}{{ 'ab'.center(5) }}|{{ '%s-%02d' % ('a', 7) }}",
    # None is a value: it is not what is missing.
    "{% macro f(a, b='d') %}[{{ a }}{{ b }}{{ caller is defined }}]{% endmacro %}{{ f(none) }}{{ f(1, none) }}{{ f(b=none, a=none) }}{{ f() is string }}",
    "{% set ns = namespace(a=none) %}{{ ns.a }}{{ ns.a is none }}{% set d = {'items': none, 'k': none} %}{{ d['items'] }}{{ d['k'] is none }}{{ d.k is defined }}{{ d.k }}{{ d.get('k', 'x') }}{{ d['z'] is defined }}",
    "{{ [none] | first }}{{ [1, none] | last }}{{ [none] | map('default', 'x') | first }}{% for x in [none, 1, none] %}{{ loop.previtem }}{{ loop.nextitem is none }}{{ loop.cycle(none, 1) }}{% endfor %}{{ none | default('x') }}{{ {'a': none} | items | list }}",
    "{{ none | selectattr('a') | list }}{{ none | map(attribute='a') | join('') }}|{{ 0 | reject('none') | list }}{{ foo | map('upper') | list }}{{ '' | select | list }}",
    "{{ none | map('upper') | join }}{{ none | join }}", "{{ messages[0][1:] }}", "{{ tools[1:] }}", "{{ (messages | length)[:1] }}", "{{ none[0] }}{{ none['a'] is defined }}", "{{ 4 | map('upper') | list }}",
    "{{ 'no' + 1 }}", "{{ foo.bar }}", "{{ raise_exception('no') }}", "{{ messages.append(1) }}", "{{ messages | selectattr('role') | length }}", "{% break %}{{ 'x' in 3 }}", "{% endif %}",
]
WITH_TOOLS = [
    "{% for t in tools %}{{ t | tojson }}{{ t.function.parameters.properties['items'] }}{% endfor %}{% for m in messages %}{{ m.role }}{% if m.content is none %}-{% endif %}{% for c in m.tool_calls or [] %}{{ c.function.arguments | tojson }}{{ c.function }}{% endfor %}{% endfor %}",
]

def rendered(source, chat, tools=None):
    try:
        return render_jinja_template(conversations=[chat], tools=tools, chat_template=source, bos_token="<s>", eos_token="</s>")[0][0]
    except Exception:
        return None

rows = [{"source": s, "messages": CHAT, "text": rendered(s, CHAT)} for s in TEMPLATES]
rows += [{"source": s, "messages": CALLS, "tools": [TOOL], "text": rendered(s, CALLS, [TOOL])} for s in WITH_TOOLS]
print(json.dumps(rows, indent=1, ensure_ascii=False))
