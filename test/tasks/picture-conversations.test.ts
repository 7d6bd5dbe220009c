import fs from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import type { PictureExample } from '../../src-main/data/picture-rows.ts';
import { UserError } from '../../src-main/engine/types.ts';
import { chatTemplate } from '../../src-main/models/chat-template.ts';
import { createTokenizer } from '../../src-main/models/tokenizer/tokenizer.ts';
import { tokenizerOfFolder } from '../../src-main/models/tokenizer/folder-tokenizer.ts';
import type { ChatMessage } from '../../src-main/models/types.ts';
import { openPictureProcessor } from '../../src-main/models/vision/preparation/open.ts';
import { PictureStore } from '../../src-main/tasks/picture-store.ts';
import { towerPreparation } from '../../src-main/tasks/vision-language/preparation.ts';
import { fedOf } from '../../src-main/models/vision/preparation/fed.ts';
import { tokensWithPictures, type PictureReading } from '../../src-main/tasks/vision-language/prepare.ts';

/** Conversations by transformers' processor (models/data/vision/make_conversations.py). */
const data = path.join(import.meta.dirname, '../models/data/vision');
const folder = path.join(data, 'processor');
interface Case {
  pictures: string[];
  messages: ChatMessage[];
  ids: number[];
  answer: number[];
  tiles: number;
}
const cases = JSON.parse(fs.readFileSync(path.join(data, 'conversations.json'), 'utf8')) as Case[];
const example = ({ pictures, messages }: Pick<Case, 'pictures' | 'messages'>): PictureExample => ({
  ...{ kind: 'chat', row: 7, messages },
  pictures: pictures.map((name) => ({ path: path.join(data, 'pictures', name) })),
});
let reading: PictureReading;

/** An example's tokens and what its pictures feed, or why it can't be used. */
async function preparePictures({ pictures, ...example }: PictureExample, reading: PictureReading) {
  const store = new PictureStore(towerPreparation(reading.processor.options), data);
  try {
    const kept = await Promise.all(
      pictures.map((source) => store.take(source, path.basename('path' in source ? source.path : ''))),
    );
    const tokens = tokensWithPictures(example, kept, reading);
    if (typeof tokens === 'string') return tokens;
    const prepared = await Promise.all(kept.map((one) => store.read(one)));
    return { ...tokens, ...fedOf(prepared, reading.processor, reading.patch) };
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}

beforeAll(async () => {
  const read = await tokenizerOfFolder(folder, { bosTokenId: undefined, eosTokenIds: [] });
  const template = fs.readFileSync(path.join(folder, 'chat_template.jinja'), 'utf8');
  reading = {
    tokenizer: createTokenizer(read!.description),
    template: chatTemplate(template, read!.special, folder),
    processor: await openPictureProcessor(folder),
    ...{ loss: 'answer', patch: 4, sequenceLength: 300 },
  };
});

it.each(cases.map((one, i) => [i, one] as const))(
  'a conversation with pictures has the tokens of transformers, and carries loss on its answers: %i',
  async (_, one) => {
    const prepared = await preparePictures(example(one), reading);
    if (typeof prepared === 'string') throw new Error(prepared);
    expect([...prepared.inputIds]).toEqual(one.ids);
    expect([...prepared.labels]).toEqual(one.ids.map((id, i) => (one.answer[i] ? id : -100)));
    // Tiles of 16 x 16 pixels, which the tower takes in patches of 4 x 4.
    expect(prepared.grids).toEqual(Array.from({ length: one.tiles }, () => ({ rows: 4, columns: 4 })));
    expect(prepared.patches).toHaveLength(one.tiles * 16 * 3 * 16);
  },
);

it('no token of a picture carries loss, even where all else does', async () => {
  const prepared = await preparePictures(example(cases[0]!), { ...reading, loss: 'all' });
  if (typeof prepared === 'string') throw new Error(prepared);
  const [image] = reading.tokenizer.encode('<image>', { addSpecialTokens: false });
  const { ids } = cases[0]!;
  expect(ids.filter((id) => id === image)).toHaveLength(4 * cases[0]!.tiles);
  expect([...prepared.labels]).toEqual(ids.map((id) => (id === image ? -100 : id)));
});

it('is refused by name where a picture would be cut, is not there, is none, or has no place in the template', async () => {
  const [one] = cases as [Case];
  expect(await preparePictures(example(one), { ...reading, sequenceLength: 108 })).toContain('109 tokens');
  expect(await preparePictures(example({ ...one, pictures: ['gone.png'] }), reading)).toContain('gone.png can\'t be read (ENOENT)'); // prettier-ignore
  expect(await preparePictures(example({ ...one, pictures: ['../conversations.json'] }), reading)).toContain('conversations.json'); // prettier-ignore
  const twice = example({ ...one, pictures: ['plain.png', 'gray.png'] });
  expect(await preparePictures(twice, reading)).toContain('1 of <image> for 2 pictures');
});
