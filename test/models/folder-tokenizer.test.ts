import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { tokenizerOfFolder } from '../../src-main/models/tokenizer/folder-tokenizer.ts';
import { createTokenizer } from '../../src-main/models/tokenizer/tokenizer.ts';

let folder: string;
beforeEach(() => void (folder = fs.mkdtempSync(path.join(os.tmpdir(), 'folder-tokenizer-'))));
afterEach(() => fs.rmSync(folder, { recursive: true }));

const token = (id: number, content: string) => ({ id, content, special: true, normalized: false });
const TOKENIZER = {
  added_tokens: [token(0, '<unk>')],
  pre_tokenizer: { type: 'WhitespaceSplit' },
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>' } }, { Sequence: { id: 'A' } }],
    special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
  },
  model: { type: 'WordLevel', vocab: { '<unk>': 0, '<s>': 1, '</s>': 2, a: 3 }, unk_token: '<unk>' },
};

async function open(files: Record<string, object>, tokenizer: object = TOKENIZER) {
  for (const [name, json] of Object.entries({ 'tokenizer.json': tokenizer, ...files }))
    fs.writeFileSync(path.join(folder, name), JSON.stringify(json));
  const read = (await tokenizerOfFolder(folder, { bosTokenId: 7, eosTokenIds: [8, 2] }))!;
  return { ...read, tokenizer: createTokenizer(read.description) };
}

it('finds tokens in the text that only the configuration names, by their ids in the vocabulary or new ones', async () => {
  const { tokenizer } = await open({
    'tokenizer_config.json': {
      eos_token: { content: '</s>' },
      additional_special_tokens: ['<|end|>'],
      added_tokens_decoder: { 9: { content: '<|user|>', special: false } },
    },
  });
  expect(tokenizer.encode('a</s>')).toEqual([3, 2]);
  expect(tokenizer.encode('<|user|>a<|end|>')).toEqual([4, 3, 5]);
  expect(tokenizer.vocabularySize).toBe(6);
  expect(tokenizer.decode([4, 5], { skipSpecialTokens: true })).toBe('<|user|>');
});

it('takes beginning and end from the special tokens’ own file where the configuration leaves them out', async () => {
  const { tokenizer, special } = await open({
    'special_tokens_map.json': { bos_token: { content: '<s>' }, eos_token: '<unk>' },
    'tokenizer_config.json': { bos_token: null, eos_token: '</s>', pad_token: { content: '<unk>' } },
  });
  expect(special).toEqual({ bos: '<s>', eos: '</s>', others: { pad_token: '<unk>' } });
  expect(tokenizer.bosTokenId).toBe(1);
});

it('knows every end: of the configuration, the model and its generation', async () => {
  const { tokenizer } = await open({
    'tokenizer_config.json': { eos_token: '</s>' },
    'generation_config.json': { eos_token_id: [2, 5, 6] },
  });
  expect(tokenizer.eosTokenIds).toEqual([2, 8, 5, 6]);
  expect(tokenizer.bosTokenId).toBe(7);
});

it('puts around a text what tokenizer.json says, whatever the configuration adds', async () => {
  const { tokenizer } = await open({
    'tokenizer_config.json': { bos_token: '<s>', eos_token: '</s>', add_bos_token: false, add_eos_token: true },
  });
  expect(tokenizer.encode('a', { addSpecialTokens: true })).toEqual([1, 3]);
});

it.each([
  ['tokenizer_config.json', { eos_token: 3 }, 'eos_token'],
  ['special_tokens_map.json', { additional_special_tokens: 'x' }, 'additional_special_tokens'],
  ['tokenizer_config.json', { added_tokens_decoder: { x: { content: 'x' } } }, 'added_tokens_decoder'],
])('refuses by name: %s with %j', async (name, json, field) => {
  await expect(open({ [name]: json })).rejects.toThrow(
    expect.objectContaining({ name: 'UserError', message: expect.stringMatching(`${name}: .*${field}`) }),
  );
});

const split = (regex: string) => ({ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false });

it.each(['(a+)+b', '(a|a)*c', '(?:a*)*[^a]b', '^(\\w+\\s?)*$'])(
  'gives up on a regular expression that takes for ever: %s',
  async (regex) => {
    const { tokenizer } = await open({}, { ...TOKENIZER, pre_tokenizer: split(regex) });
    expect(() => tokenizer.encode(`${'a'.repeat(10_000)}!`)).toThrow(
      expect.objectContaining({ name: 'UserError', message: expect.stringContaining('regular expressions take') }),
    );
    expect(tokenizer.encode('a')).toEqual([3]);
  },
);
