import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readDataset, type DatasetOptions } from '../../src-main/data/dataset.ts';
import { renderChat } from '../../src-main/data/render.ts';
import { chatTemplate } from '../../src-main/models/chat-template.ts';
import { openTextModel, resolveModel } from '../../src-main/models/open.ts';
import type { ChatMessage, ModelFile } from '../../src-main/models/types.ts';

const here = import.meta.dirname;
let folder: string;
let model: ModelFile;
let options: DatasetOptions;

const put = (name: string, content: string | Buffer) => {
  const file = path.join(folder, name);
  fs.writeFileSync(file, content);
  return file;
};

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-data-'));
  model = await openTextModel(await resolveModel('smollm2-135m'));
  const { tokenizer, chatTemplate: template, config } = model;
  options = { tokenizer, template, loss: 'answer', sequenceLength: 256, vocabularySize: config.vocabularySize };
});
afterAll(async () => {
  fs.rmSync(folder, { recursive: true });
  await model.close();
});

const TURNS = 12;
const long = [
  { role: 'system', content: 'You answer about sheep.' },
  ...Array.from({ length: TURNS }, (_, i) => [
    { role: 'user', content: `What about sheep ${i}?` },
    { role: 'assistant', content: `Sheep ${i} eats ${'grass, '.repeat(i)}and sleeps.` },
  ]).flat(),
];

it.each(['answer', 'all'] as const)(
  'every part of a chat that is cut begins with its system message, which is learned there no more: loss on %s',
  async (loss) => {
    const file = put('long.jsonl', JSON.stringify({ messages: long }));
    const read = async (changes: Partial<DatasetOptions>) =>
      (await readDataset({ path: file }, 0, { ...options, loss, ...changes })).examples;
    const text = (ids: ArrayLike<number>) => model.tokenizer!.decode(Int32Array.from(ids).filter((id) => id >= 0));
    const [whole] = await read({ sequenceLength: 2048 });
    const parts = await read({ sequenceLength: 128, long: 'cut' });
    expect(parts.length).toBeGreaterThan(2);
    const system = '<|im_start|>system\nYou answer about sheep.<|im_end|>\n';
    for (const { inputIds } of parts) {
      expect(inputIds.length).toBeLessThanOrEqual(128);
      expect(text(inputIds).startsWith(loss === 'all' ? system : `${system}<|im_start|>user\n`)).toBe(true);
      expect(text(inputIds).split('sheep.').length).toBe(2);
    }
    // The first part's system message is learned where all is; a part's first own token is what the part before can't end with.
    const learned = parts.map(({ labels }) => text(labels)).join('');
    expect(learned.split('You answer').length).toBe(loss === 'all' ? 2 : 1);
    if (loss === 'answer') expect(learned).toBe(text(whole!.labels));
    // Where it takes more than half of a part, it stands in the first alone, which has an answer only where all is learned.
    const short = await read({ sequenceLength: 16, long: 'cut' });
    expect(short.filter(({ inputIds }) => text(inputIds).includes('system'))).toHaveLength(loss === 'all' ? 1 : 0);
  },
);

it('parts have no system message to begin with where the template writes it into the first question', async () => {
  const template = chatTemplate(
    "{% for m in messages %}{% if m.role == 'user' %}[INST]{{ messages[0].content if loop.index0 == 1 else '' }}{{ m.content }}[/INST]{% elif m.role == 'assistant' %}{{ m.content }}</s>{% endif %}{% endfor %}",
    {},
    'test',
  );
  const file = put('inst.jsonl', JSON.stringify({ messages: long }));
  const { examples } = await readDataset({ path: file }, 0, { ...options, template, sequenceLength: 128, long: 'cut' });
  const texts = examples.map(({ inputIds }) => model.tokenizer!.decode(inputIds));
  expect(texts.length).toBeGreaterThan(1);
  expect(texts.filter((text) => text.includes('You answer'))).toHaveLength(1);
});

it('a row with half a character in it is no text, and is left out', async () => {
  const file = put('half.jsonl', '{"text":"whole \\ud83d\\ude00"}\n{"text":"half \\ud83d"}\n{"text":"\\ude00 other"}');
  const { report } = await readDataset({ path: file }, 0, options);
  expect(report).toMatchObject({
    kept: 1,
    dropped: [{ reason: expect.stringContaining('half a character') as string, rows: [2, 3] }],
  });
});

describe('examples', () => {
  it('the answer’s tokens are those transformers sees behind the generation prompt', async () => {
    const examples = path.join(here, '..', '..', 'resources', 'examples', 'held-out.jsonl');
    const printed = fs.readFileSync(path.join(here, 'fixtures/answer-labels.jsonl'), 'utf8'); // answer_labels.py
    const theirs = printed.trim().split('\n').map((line) => JSON.parse(line) as { input_ids: number[]; labels: number[] }); // prettier-ignore
    const ours = await readDataset({ path: examples }, 0, options);
    expect(theirs.length).toBeGreaterThan(30);
    expect(ours.examples.map((e) => [...e.inputIds])).toEqual(theirs.map((e) => e.input_ids));
    expect(ours.examples.map((e) => [...e.labels])).toEqual(theirs.map((e) => e.labels));
  });

  it.each([
    ['ShareGPT', [{ from: 'human', value: 'hi' }, { from: 'gpt', value: 'oh' }, { from: 'human', value: 'ok' }, { from: 'gpt', value: 'bye' }]], // prettier-ignore
    ['messages', [{ role: 'user', content: 'hi' }, { role: 'assistant', content: 'oh' }, { role: 'user', content: 'ok' }, { role: 'assistant', content: 'bye' }]], // prettier-ignore
  ])('%s: every answer carries loss, nothing else does', async (_, messages) => {
    const file = put('chat.jsonl', JSON.stringify({ conversations: messages }));
    const [example] = (await readDataset({ path: file }, 0, options)).examples;
    const learned = [...example!.labels].filter((label) => label >= 0);
    expect(model.tokenizer!.decode(learned)).toBe('oh<|im_end|>\nbye<|im_end|>\n');
  });

  it('a template that rewrites earlier turns still gives each answer its own tokens', async () => {
    // Drops everything before </think> from all but the last answer, as reasoning models' templates do.
    const source =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and not loop.last %}{{ m.content.split('</think>')[-1] }}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    const messages = [
      { role: 'user', content: 'one' },
      { role: 'assistant', content: 'first' },
      { role: 'user', content: 'two' },
      { role: 'assistant', content: 'a</think>second' },
    ];
    const file = put('thinking.jsonl', JSON.stringify({ messages }));
    const template = chatTemplate(source, {}, 'test');
    const [example] = (await readDataset({ path: file }, 0, { ...options, template })).examples;
    const learned = [...example!.labels].filter((label) => label >= 0);
    expect(model.tokenizer!.decode(learned)).toBe('first<|im_end|>\na</think>second<|im_end|>\n');
  });

  const USER_AND_ANSWER = [
    { role: 'user', content: 'one' },
    { role: 'assistant', content: ' first ' },
    { role: 'user', content: 'two' },
    { role: 'assistant', content: 'second' },
  ];

  it.each([
    [
      'Mistral’s, answers closed by eos alone',
      "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}",
      ' first </s>second</s>',
    ],
    [
      'Gemma’s, which renames the role and trims',
      "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}",
      'first<end_of_turn>\nsecond<end_of_turn>\n',
    ],
    [
      'Llama 3’s',
      "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
      'first<|eot_id|>second<|eot_id|>',
    ],
    [
      'one that writes an empty thought before the last answer only, as Qwen3’s',
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}",
      ' first <|im_end|>\n\n</think>\n\nsecond<|im_end|>\n',
    ],
  ])('the template is %s: each answer with its end of turn', (_, source, learned) => {
    const template = chatTemplate(source, { bos: '<s>', eos: '</s>' }, 'test');
    const messages = USER_AND_ANSWER as ChatMessage[];
    const { text, spans } = renderChat({ messages }, { tokenizer: model.tokenizer!, template });
    expect(spans.map(([from, to]) => text.slice(from, to)).join('')).toBe(learned);
  });

  it('a row the template refuses is dropped with its reason, the others stay', async () => {
    const source =
      "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}{{ m.role }}: {{ m.content }}\n{% endfor %}";
    const rows = [
      { instruction: 'a', output: 'b' },
      { instruction: 'a', output: 'b', system: 'be brief' },
    ];
    const file = put('refused.jsonl', rows.map((row) => JSON.stringify(row)).join('\n'));
    const { examples, report } = await readDataset({ path: file }, 0, {
      ...options,
      template: chatTemplate(source, {}, 'test'),
    });
    expect(examples.map((e) => e.row)).toEqual([1]);
    expect(report.dropped).toEqual([{ reason: expect.stringContaining('no system role') as string, rows: [2] }]);
  });

  it('loss on all tokens where asked', async () => {
    const file = put('all.jsonl', JSON.stringify({ prompt: 'ab', completion: 'cd' }));
    const [example] = (await readDataset({ path: file }, 0, { ...options, loss: 'all' })).examples;
    expect([...example!.labels]).toEqual([...example!.inputIds]);
  });

  it('pre-tokenized examples pass as they are', async () => {
    const file = put('tokens.jsonl', '{"input_ids":[5,6,7],"labels":[-100,6,7]}\n{"input_ids":[5,6],"labels":[5]}\n{"input_ids":[1,999999]}\n'); // prettier-ignore
    const { examples, report } = await readDataset({ path: file }, 0, { ...options, tokenizer: undefined });
    expect(examples.map((e) => [[...e.inputIds], [...e.labels]])).toEqual([
      [
        [5, 6, 7],
        [-100, 6, 7],
      ],
    ]);
    expect(report.dropped.map(({ rows }) => rows)).toEqual([[2], [3]]);
    expect(report.dropped[1]!.reason).toContain('999999');
  });

  it('too long ones are cut and counted; one whose answer is cut off goes, with its row', async () => {
    const long = 'word '.repeat(400);
    const file = put('long.jsonl', [{ prompt: 'hi', completion: long }, { prompt: long, completion: 'x' }].map((x) => JSON.stringify(x)).join('\n')); // prettier-ignore
    const { examples, report } = await readDataset({ path: file }, 0, options);
    expect(examples.map((e) => e.inputIds.length)).toEqual([256]);
    expect(report).toMatchObject({ examples: 2, kept: 1, truncated: 1, dropped: [{ reason: 'no token with loss within 256 tokens', rows: [2] }] }); // prettier-ignore
  });

  it('columns of other names by a mapping; a wrong mapping names the columns there are', async () => {
    const file = put('german.csv', 'Frage,Antwort\nWie?,So.\n');
    const { examples, format } = await readDataset({ path: file, mapping: { instruction: 'Frage', output: 'Antwort' } }, 0, options); // prettier-ignore
    expect([format, examples.length]).toEqual(['instruction', 1]);
    await expect(readDataset({ path: file, mapping: { output: 'Antwrt' } }, 0, options)).rejects.toThrow(/"Antwrt", which is not there; did you mean "Antwort"\? \(its columns are Frage, Antwort/); // prettier-ignore
    await expect(readDataset({ path: file, mapping: { instuction: 'Frage' } }, 0, options)).rejects.toThrow(/"instuction", which is not known; did you mean "instruction"/); // prettier-ignore
    await expect(readDataset({ path: file }, 0, options)).rejects.toThrow(
      /columns \(Frage, Antwort\) fit no known format/,
    );
  });

  it('text for a model without a tokenizer is refused with what to do', async () => {
    const file = put('text.jsonl', '{"text":"a b c"}');
    await expect(readDataset({ path: file }, 0, { ...options, tokenizer: undefined })).rejects.toThrow(/has no tokenizer.*input_ids/); // prettier-ignore
  });
});
