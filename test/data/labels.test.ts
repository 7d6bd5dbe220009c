import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renderExample, tokenizeRendered } from '../../src-main/data/render.ts';
import type { Example } from '../../src-main/data/types.ts';
import { chatTemplate } from '../../src-main/models/chat-template.ts';
import { endingTurns } from '../../src-main/models/end-of-turn.ts';
import { chatPrompt, rawPrompt } from '../../src-main/models/prompt.ts';
import { createTokenizer } from '../../src-main/models/tokenizer/tokenizer.ts';
import { openTextModel, resolveModel } from '../../src-main/models/open.ts';
import type { ChatMessage, ChatTemplate, Tokenizer } from '../../src-main/models/types.ts';
import { REASON, TEMPLATES } from './support/label-templates.ts';

const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
const names = ['<unk>', '<s>', '</s>', '<|im_start|>', '<|im_end|>'];

/** A tokenizer of bytes in Llama 2's way: a space of its own before every part, bytes for all else. */
function sentencePiece(changes: object = {}): Tokenizer {
  const vocab = Object.fromEntries([...names, ...bytes, '▁', ...'abcdefghijklmnopqrstuvwxyzé'].map((t, id) => [t, id]));
  const json = {
    added_tokens: names.map((content, id) => ({ id, content, special: true, normalized: false })),
    normalizer: { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, { type: 'Replace', pattern: { String: ' ' }, content: '▁' }] }, // prettier-ignore
    model: { type: 'BPE', vocab, merges: [], byte_fallback: true, unk_token: '<unk>' },
    decoder: { type: 'Sequence', decoders: [{ type: 'Replace', pattern: { String: '▁' }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' }] }, // prettier-ignore
    ...changes,
  };
  return createTokenizer({ json, addBos: false, addEos: false, bosTokenId: 1, eosTokenIds: [2] });
}

const NFC = { normalizer: { type: 'NFC' }, decoder: { type: 'Sequence', decoders: [{ type: 'Replace', pattern: { String: '▁' }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' }] } }; // prettier-ignore
const piece = (id: string, type: string) => ({ [type]: { id, type_id: 0 } });
const AROUND = {
  post_processor: {
    type: 'TemplateProcessing',
    single: [piece('<s>', 'SpecialToken'), piece('A', 'Sequence'), piece('</s>', 'SpecialToken')],
    pair: [piece('A', 'Sequence'), piece('B', 'Sequence')],
    special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] }, '</s>': { id: '</s>', ids: [2], tokens: ['</s>'] } }, // prettier-ignore
  },
};

const TOKENIZERS: Record<string, Tokenizer> = {
  SentencePiece: sentencePiece(),
  NFC: sentencePiece(NFC),
  'one that puts tokens around': sentencePiece(AROUND),
};

/** The learned tokens, decoded run by run. */
function learned(example: Example, tokenizer: Tokenizer, template?: ChatTemplate): string[] {
  const rendered = renderExample(example, { tokenizer, template, loss: 'answer' })!;
  const { ids, carriesLoss } = tokenizeRendered(rendered, tokenizer, !template || example.kind !== 'chat');
  const runs: number[][] = [];
  ids.forEach((id, i) => {
    if (!carriesLoss[i]) return;
    if (i > 0 && carriesLoss[i - 1]) runs.at(-1)!.push(id);
    else runs.push([id]);
  });
  return runs.map((run) => tokenizer.decode(run));
}

const squeezed = (text: string) => text.normalize('NFC').replaceAll(' ', '');
const words = fc.string({ unit: fc.constantFrom('a', 's', 'é', 'e\u0301', '漢', '😀', ' ', '\n', '<', 'user', 'assistant', ':'), minLength: 1, maxLength: 12 }); // prettier-ignore
const chats = fc.array(fc.record({ question: words, answer: words }), { minLength: 1, maxLength: 3 });

describe('the tokens that carry loss', () => {
  const cases = Object.keys(TEMPLATES).flatMap((t) => Object.keys(TOKENIZERS).map((k) => [t, k] as const));
  it.each(cases)('are what each answer renders to: %s, %s', (name, kind) => {
    const { source, answer } = TEMPLATES[name]!;
    const template = chatTemplate(source, { bos: '<s>', eos: '</s>' }, 'test');
    fc.assert(
      fc.property(chats, (turns) => {
        const messages = turns.flatMap(({ question, answer }): ChatMessage[] => [
          { role: 'user', content: question },
          { role: 'assistant', content: answer },
        ]);
        const expected = turns.map((turn, i) => answer(turn.answer, i === turns.length - 1));
        const got = learned({ kind: 'chat', row: 1, messages }, TOKENIZERS[kind]!, template);
        expect(squeezed(got.join('|'))).toBe(squeezed(expected.join('|')));
      }),
      { numRuns: 40, seed: 12 },
    );
  });

  // Tokens of learned vocabularies span a border where what stands around it is common: "\\n\\n", " a".
  it.each(['smollm2-135m', 'gemma3-270m'])(
    'are so for %s, as far as its tokens end where the answer begins',
    async (model) => {
      const file = await openTextModel(await resolveModel(model));
      await file.close();
      const tokenizer = file.tokenizer!;
      for (const { source, answer } of Object.values(TEMPLATES)) {
        const template = chatTemplate(source, { bos: '<s>', eos: '</s>' }, 'test');
        const check = (turns: { question: string; answer: string }[]) => {
          const sign = (i: number) => `§${i}§`;
          const messages = turns.flatMap((turn, i): ChatMessage[] => [
            { role: 'user', content: turn.question },
            { role: 'assistant', content: turn.answer + sign(i) + turn.question },
          ]);
          const text = template.render(messages);
          const { offsets } = tokenizer.encodeWithOffsets(text);
          const expected = turns.map((_, i) => {
            const written = answer(messages[2 * i + 1]!.content as string, i === turns.length - 1);
            const from = text.indexOf(sign(i)) - written.indexOf(sign(i));
            expect(text.slice(from, from + written.length)).toBe(written);
            const inside = offsets.filter(([begins]) => begins >= from && begins < from + written.length);
            return text.slice(inside[0]![0], inside.at(-1)![1]);
          });
          const got = learned({ kind: 'chat', row: 1, messages }, tokenizer, template);
          // Of a character that a token before the answer begins, the rest alone is learned.
          const whole = got.map((run, i) => run.replace(/^\ufffd+/, Array.from(expected[i] ?? '')[0]!));
          expect(whole).toEqual(expected);
        };
        fc.assert(fc.property(chats, check), { numRuns: 12, seed: 12 });
      }
    },
  );

  const think = chatTemplate(REASON, { eos: '</s>' }, 'test');
  const thoughtful: ChatMessage[] = [
    { role: 'user', content: 'q' },
    { role: 'assistant', content: '<think>\nlong\n</think>\n\na' },
    { role: 'user', content: 'r' },
    { role: 'assistant', content: 'b', reasoning_content: 't' },
  ];

  it('are the turn as it is rendered where an earlier thought is left out', () => {
    const got = learned({ kind: 'chat', row: 1, messages: thoughtful }, TOKENIZERS.SentencePiece!, think);
    expect(got.map(squeezed)).toEqual(['a<|im_end|>\n', '<think>\nt\n</think>\n\nb<|im_end|>\n']);
  });

  it('leave out answers of the weight 0', () => {
    const messages = thoughtful.map((message, i) => (i === 1 ? { ...message, weight: 0 } : message));
    expect(learned({ kind: 'chat', row: 1, messages }, TOKENIZERS.SentencePiece!, think)).toHaveLength(1);
  });

  it('are a call’s where an answer is one, with content or without', () => {
    const source = "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.tool_calls %}{% for c in m.tool_calls %}{{ c.function | tojson }}{% endfor %}{% else %}{{ m.content }}{% endif %}{% if m.role == 'assistant' and not loop.last %}{% endif %}<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n<think>{% endif %}"; // prettier-ignore
    const messages: ChatMessage[] = [
      { role: 'user', content: 'q' },
      { role: 'assistant', content: null, tool_calls: [{ function: { name: 'f', arguments: { x: 1 } } }] },
      { role: 'tool', content: '3' },
      { role: 'assistant', content: 'b' },
    ];
    const got = learned(
      { kind: 'chat', row: 1, messages },
      TOKENIZERS.SentencePiece!,
      chatTemplate(source, {}, 'test'),
    );
    expect(got.map(squeezed)).toEqual(['{"name":"f","arguments":{"x":1}}<|im_end|>', 'b<|im_end|>']);
  });

  it.each(Object.keys(TOKENIZERS))('end a text once, and none is a beginning: %s', (kind) => {
    expect(learned({ kind: 'text', row: 1, text: 'ab' }, TOKENIZERS[kind]!).map(squeezed)).toEqual(['ab</s>']);
    const completion: Example = { kind: 'completion', row: 1, prompt: 'ab', completion: 'cd' };
    expect(learned(completion, TOKENIZERS[kind]!).map(squeezed)).toEqual(['cd</s>']);
  });

  it('are refused by name where there is no template to write a call with', () => {
    const messages: ChatMessage[] = [
      { role: 'user', content: 'q' },
      { role: 'assistant', content: '', tool_calls: [{}] },
    ];
    expect(() => learned({ kind: 'chat', row: 1, messages }, TOKENIZERS.NFC!)).toThrow(/tool calls/);
  });
});

describe('what a model is asked', () => {
  it.each([undefined, ...Object.keys(TEMPLATES)])('is what training shows before the answer: %s', (name) => {
    const template = name ? chatTemplate(TEMPLATES[name]!.source, { bos: '<s>', eos: '</s>' }, 'test') : undefined;
    const messages: ChatMessage[] = [
      { role: 'user', content: 'ab' },
      { role: 'assistant', content: 'cd' },
    ];
    const tokenizer = sentencePiece(AROUND);
    const rendered = renderExample({ kind: 'chat', row: 1, messages }, { tokenizer, template, loss: 'answer' })!;
    const { ids, carriesLoss } = tokenizeRendered(rendered, tokenizer, !template);
    expect(chatPrompt({ tokenizer, template }, { messages: messages.slice(0, 1) }).ids).toEqual(
      ids.slice(0, carriesLoss.indexOf(true)),
    );
  });

  it('isn’t ended by what the tokenizer puts behind a text', () => {
    expect(rawPrompt(sentencePiece(AROUND), 'ab').ids.at(-1)).not.toBe(2);
  });

  it('stops at the template’s end of turn beside the end of the text', () => {
    const of = (name: string) => endingTurns(sentencePiece(), chatTemplate(TEMPLATES[name]!.source, { eos: '</s>', bos: '<s>' }, 'test')); // prettier-ignore
    expect(of('ChatML').eosTokenIds).toEqual([2, 4]);
    expect(of('one that trims and closes with eos').eosTokenIds).toEqual([2]);
  });
});
