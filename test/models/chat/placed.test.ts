import { describe, expect, it } from 'vitest';
import { chatTemplate } from '../../../src-main/models/chat-template.ts';
import { chatPrompt } from '../../../src-main/models/prompt.ts';
import { placed } from '../../../src-main/models/template-place.ts';
import type { ChatMessage } from '../../../src-main/models/types.ts';
import { byteTokenizer } from '../../data/support/byte-tokenizer.ts';

const template = (source: string, toolUse?: string) => chatTemplate(source, {}, 'test', toolUse);
const hello: ChatMessage[] = [{ role: 'user', content: 'Hi' }];
const called = (given: unknown, content: string | null = ''): ChatMessage[] => [
  ...hello,
  { role: 'assistant', content, tool_calls: [{ type: 'function', function: { name: 'now', arguments: given } }] },
];
const written = (source: string, messages: ChatMessage[]) => {
  const used = placed({ messages }, template(source));
  return used.template.render(used.messages);
};
const calls = (write: string) => `{% for m in messages %}{% for c in m.tool_calls or [] %}${write}{% endfor %}{% endfor %}`; // prettier-ignore

describe('a conversation with more than messages', () => {
  it('is refused where the template has no place for it', () => {
    const plain = template('{% for m in messages %}{{ m.content }}{% endfor %}');
    expect(() => placed({ messages: hello, tools: [{}] }, plain)).toThrow(/describes tools.*no place for tools/);
    expect(() => placed({ messages: hello, documents: [{}] }, plain)).toThrow(/holds documents/);
    expect(() => placed({ messages: called({}) }, plain)).toThrow(/holds tool calls.*no place for tool_calls/);
    expect(placed({ messages: hello }, plain)).toEqual({ template: plain, messages: hello });
    const able = template(`{% if tools %}{% endif %}{{ documents }}${calls('{{ c.function.name }}')}`);
    expect(placed({ messages: called({}), tools: [{}], documents: [{}] }, able).template).toBe(able);
  });

  it('is refused where the template names calls and leaves them out', () => {
    const source = '{% for m in messages %}{% if not m.tool_calls %}{{ m.content }}{% endif %}{% endfor %}';
    expect(() => written(source, called({}))).toThrow(/no place for tool_calls/);
  });

  it('is written by the template that the model has for tools', () => {
    const both = template('plain {{ tools }}', 'with {{ tools | length }}');
    const tokenizer = byteTokenizer();
    const text = (tools?: object[]) => chatPrompt({ tokenizer, template: both }, { messages: hello, tools }).text;
    expect([text(), text([]), text([{}])]).toEqual(['plain None', 'plain []', 'with 1']);
  });

  it.each([
    ['as it is where the template takes a text', '{{ c.function.arguments }}', '{"a": 1.0}', '{"a": 1.0}'],
    ['as it is where the template takes both', '{{ c.function.arguments if c.function.arguments is string else c.function.arguments | tojson }}', '{"a":  1}', '{"a":  1}'], // prettier-ignore
    ['as its object where a text is refused', '{% for k, v in c.function.arguments.items() %}{{ k }}={{ v }}{% endfor %}', '{"a": 1.0}', 'a=1.0'], // prettier-ignore
    ['as its object where it would be a text in a text', '{{ c.function.arguments | tojson }}', '{"b":12345678901234567890,"a":1}', '{"b": 12345678901234567890, "a": 1}'], // prettier-ignore
    ['as it is where it is no JSON', '{{ c.function.arguments | tojson }}', 'not', '"not"'],
  ])('has its calls’ arguments %s', (_, write, given, expected) => {
    expect(written(calls(`{{ c.function.name }}${write}`), called(given))).toBe(`now${expected}`);
  });

  it('says None beside calls where the template writes them so alone, and nothing where it takes both', () => {
    const beside = (test: string) => `{% for m in messages %}{% if m.role == 'assistant' and ${test} %}${calls('{{ c.function.name }}')}{% else %}{{ m.content }}{% endif %}{% endfor %}`; // prettier-ignore
    for (const content of ['', null]) {
      expect(written(beside('m.content is none'), called({}, content))).toBe('Hinow');
      expect(written(beside('m.content is string'), called({}, content))).toBe('Hinow');
    }
  });
});
