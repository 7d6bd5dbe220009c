import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../../src-main/engine/types.ts';
import { chatTemplate } from '../../../src-main/models/chat-template.ts';
import { exactNumber } from '../../../src-main/models/exact-number.ts';
import type { ChatMessage } from '../../../src-main/models/types.ts';

/** What transformers renders (make_renderings.py); null where it refuses. */
const renderings = JSON.parse(fs.readFileSync(path.join(import.meta.dirname, 'renderings.json'), 'utf8')) as {
  source: string;
  messages: ChatMessage[];
  tools?: unknown[];
  text: string | null;
}[];

const special = { bos: '<s>', eos: '</s>' };
const asked: ChatMessage[] = [{ role: 'user', content: 'Hi' }];

describe('chat templates', () => {
  it.each(renderings)('as transformers renders it: $source', ({ source, messages, tools, text }) => {
    const render = () => chatTemplate(source, special, 'test').render(messages, { tools });
    if (text === null) expect(render).toThrow(UserError);
    else expect(render()).toBe(text);
  });

  it('tells the time by strftime_now', () => {
    const template = chatTemplate("{{ strftime_now('%d %b %Y|%A %j|%-d %e %y|%H:%M %p|%U %V') }}", {}, 'test');
    // date -d 2024-03-05T14:07 +'…'
    expect(template.render(asked, { now: new Date(2024, 2, 5, 14, 7) })).toBe(
      '05 Mar 2024|Tuesday 065|5  5 24|14:07 PM|09 10',
    );
  });

  it('gives a thought under the names that templates read, and no weight', () => {
    const template = chatTemplate('{{ messages[0].thinking }}{{ messages[0].reasoning_content }}{{ messages[0].weight }}', {}, 'test'); // prettier-ignore
    expect(template.render([{ role: 'assistant', content: 'a', reasoning_content: 't', weight: 0 }])).toBe('tt');
  });

  it('keeps numbers that JavaScript would round', () => {
    const template = chatTemplate('{{ messages[0].tool_calls | tojson }}', {}, 'test');
    const exact = exactNumber;
    const call = [{ big: exact('12345678901234567890'), price: exact('1.0'), large: exact('1e3') }];
    expect(template.render([{ role: 'assistant', tool_calls: call }])).toBe(
      '[{"big": 12345678901234567890, "price": 1.0, "large": 1000.0}]',
    );
  });

  it.each([
    ['a range too large', '{% for i in range(100000000) %}x{% endfor %}'],
    ['loops in loops', '{% for i in range(99999) %}{% for j in range(99999) %}{% for k in range(99999) %}x{% endfor %}{% endfor %}{% endfor %}'], // prettier-ignore
    ['a text that doubles', "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}"], // prettier-ignore
    ['a list that doubles', '{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}'], // prettier-ignore
    ['a list of itself, printed', '{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}'], // prettier-ignore
    ['a text so many times', "{{ 'x' * 10000000000 }}"],
    ['a width', "{{ 'a'.center(10000000000) }}"],
    ['a power', '{{ 10 ** 1000000000 }}'],
    ['a macro that calls itself', '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}'],
    ['lists in lists', '{% set ns = namespace(s=[1]) %}{% for i in range(99999) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}'], // prettier-ignore
  ])('refuses what would take for ever or all memory: %s', (_, source) => {
    const before = process.memoryUsage().heapUsed;
    expect(() => chatTemplate(source, {}, 'test').render(asked)).toThrow(UserError);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(256e6);
  });

  it.each(['{{ '.concat('('.repeat(300_000)), '{% if %}', '{% for x %}', "{{ 'a", '{% include "x" %}', '{#'])(
    'refuses to read %.20s',
    (source) => expect(() => chatTemplate(source, {}, 'test')).toThrow(/test: its chat template can't be read/),
  );
});
