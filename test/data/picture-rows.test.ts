import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { planColumns } from '../../src-main/data/columns.ts';
import { readPictureExample } from '../../src-main/data/picture-rows.ts';

const folder = path.resolve('/data/set');
const read = (fields: Record<string, unknown>) =>
  readPictureExample({ row: 1, fields }, planColumns(Object.keys(fields), 'set.json'), folder);
const file = (name: string) => ({ path: path.join(folder, name) });
const answer = { role: 'assistant', content: 'A cat.' };
const asked = [{ type: 'image' }, { type: 'text', text: 'What is it?' }];
/** One pixel. */
const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

describe('a row with pictures', () => {
  it('is read in the form of LLaVA', () => {
    const conversations = [
      { from: 'human', value: '<image>\nWhat is it?' },
      { from: 'gpt', value: 'A cat.' },
    ];
    expect(read({ id: '7', image: 'coco/7.jpg', conversations })).toMatchObject({
      pictures: [file('coco/7.jpg')],
      messages: [{ role: 'user', content: [{ type: 'image' }, { type: 'text', text: '\nWhat is it?' }] }, answer],
    });
  });

  it('is read with several pictures, each at its place', () => {
    const messages = [
      { role: 'user', content: 'From <image> to <image>?' },
      answer,
      { role: 'user', content: '<image>' },
      answer,
    ];
    expect(read({ messages, images: ['a.png', 'b.png', 'c.png'] })).toMatchObject({
      pictures: [file('a.png'), file('b.png'), file('c.png')],
      messages: [
        {
          content: [
            ...[{ type: 'text', text: 'From ' }, { type: 'image' }, { type: 'text', text: ' to ' }, { type: 'image' }],
            { type: 'text', text: '?' },
          ],
        },
        answer,
        { content: [{ type: 'image' }] },
        answer,
      ],
    });
  });

  it.each([
    ['OpenAI', { type: 'image_url', image_url: { url: `data:image/png;base64,${PNG}` } }],
    ['its address alone', { type: 'input_image', image_url: `data:image/png;base64,${PNG}` }],
  ])('is read from parts of messages: %s', (_, part) => {
    const messages = [{ role: 'user', content: [part, { type: 'text', text: 'What is it?' }] }, answer];
    const bytes = Buffer.from(PNG, 'base64');
    for (const given of [messages, JSON.stringify(messages)])
      expect(read({ messages: given })).toMatchObject({
        pictures: [{ bytes }],
        messages: [{ role: 'user', content: asked }, answer],
      });
  });

  it('is read from parts whose pictures stand in a column, as tables keep them', () => {
    const messages = [{ role: 'user', content: [{ type: 'image', text: null }, { type: 'text', text: 'What is it?' }] }, answer]; // prettier-ignore
    const bytes = Uint8Array.of(1, 2, 3);
    expect(read({ messages, images: [{ bytes, path: null }] })).toMatchObject({
      pictures: [{ bytes }],
      messages: [{ role: 'user', content: asked }, answer],
    });
  });

  it('is read from a picture, a question and an answer', () => {
    expect(read({ image: 'a.png', question: 'What is it?', answer: 'A cat.' })).toMatchObject({
      pictures: [file('a.png')],
      messages: [{ role: 'user', content: asked }, answer],
    });
  });

  it('may have none', () => {
    const example = read({ question: 'What is it?', answer: 'A cat.', image: null });
    expect(example).toMatchObject({ messages: [{ role: 'user', content: 'What is it?' }, answer] });
    expect(example).not.toHaveProperty('pictures');
  });
});

describe('a row is refused by name', () => {
  const question = { question: 'What is it?', answer: 'A cat.' };
  const inside = [{ role: 'user', content: [{ type: 'image', image: 'a.png' }] }, answer];
  it.each([
    ['on the network', { image: 'https://example.org/a.png', ...question }, 'nothing is fetched'],
    ['outside the folder', { image: '../../etc/a.png', ...question }, 'outside the dataset’s folder'],
    ['outside the folder, from the root', { image: '/etc/a.png', ...question }, 'outside the dataset’s folder'],
    ['neither name nor bytes', { image: 7, ...question }, 'neither a file’s name nor bytes'],
    ['fewer pictures than places', { messages: [{ role: 'user', content: '<image><image>' }, answer], image: 'a.png' }, '1 pictures and 2 places'], // prettier-ignore
    ['places without a picture', { messages: [{ role: 'user', content: '<image>' }, answer] }, '0 pictures and 1 places'], // prettier-ignore
    ['a picture in an answer', { messages: [{ role: 'user', content: 'Draw' }, { role: 'assistant', content: '<image>' }], image: 'a.png' }, 'role "assistant" holds a picture'], // prettier-ignore
    ['pictures in two places', { messages: inside, image: 'b.png' }, 'in one of the two'],
    ['a text alone', { image: 'a.png', text: 'A cat.' }, 'need messages'],
    ['a film', { video: 'a.mp4', ...question }, 'column "video"'],
    ['something to hear', { messages: [{ role: 'user', content: [{ type: 'audio' }] }, answer] }, 'kind "audio"'],
  ])('%s', (_, fields, reason) => expect(read(fields)).toContain(reason));
});
