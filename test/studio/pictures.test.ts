import { execFile } from 'node:child_process';
import { promises as fs } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import OpenAI from 'openai';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ChatPicture, GenerateEvent, PlaygroundMessage } from '../../src-preload/contract/index.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { writePictureModel } from '../tasks/support.ts';
import { writeRandomAdapter } from '../support/adapters.ts';
import { builtProcess } from '../support/built.ts';
import { scratchFolder } from '../support/scratch.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { gap, omegaByHand } from './support/omega.ts';
import { openTestStudio, player } from './support/studio.ts';

const scratch = scratchFolder();
const pictures = join(import.meta.dirname, '../models/data/vision/pictures');
const QUESTION = 'What is in the picture?';
const TOKENS = 12;
let open: ReturnType<typeof openTestStudio>;
let model: string;
let adapter: string;
/** what the command line says of a picture, without an adapter and with it */
const told: Record<string, string> = {};

async function atCommandLine(picture: string, ...more: string[]): Promise<string> {
  const asked = ['generate', '--model', model, '--picture', join(pictures, picture), '--prompt', QUESTION, ...more];
  const rest = ['--max-tokens', String(TOKENS), '--engine', 'cpu', '--json'];
  const { stdout } = await promisify(execFile)(process.execPath, [builtProcess('effilora.js'), ...asked, ...rest]);
  return (JSON.parse(stdout) as { text: string }).text;
}

beforeAll(async () => {
  open = openTestStudio(scratch.folder, player(1, 1));
  await open.client.settings.set({ engine: 'cpu' });
  model = await writePictureModel(scratch.folder);
  const folder = join(scratch.folder, 'strong');
  await writeRandomAdapter(folder, model, { strength: 4 });
  adapter = (await open.client.adapters.import({ path: folder, model })).id;
  told['scene'] = await atCommandLine('scene.jpg');
  told['alpha'] = await atCommandLine('alpha.webp');
  told['scene, adapted'] = await atCommandLine('scene.jpg', '--adapter', folder);
});
afterAll(async () => {
  await open.studio.close();
  scratch.remove();
});

const base64 = (name: string) => fs.readFile(join(pictures, name), 'base64');
const added = async (name: string) => open.client.playground.addPicture({ name, data: await base64(name) });

async function answers(columns: { adapter: string | null; messages: PlaygroundMessage[] }[], on = model) {
  const events: GenerateEvent[] = [];
  const request = { model: on, sampling: { maxTokens: TOKENS, temperature: 0 }, columns };
  for await (const event of await open.client.playground.generate(request)) events.push(event);
  const text = (column: number) =>
    events.map((event) => (event.kind === 'token' && event.column === column ? event.piece : '')).join('');
  return { events, texts: columns.map((_, column) => text(column)) };
}

describe('the playground', () => {
  it('answers about a picture as the command line does, in every column, and looks at it once', async () => {
    const picture = await added('scene.jpg');
    const { width, height } = await sharp(await fs.readFile(join(pictures, 'scene.jpg'))).metadata();
    expect(picture).toMatchObject({ name: 'scene.jpg', width, height });
    const messages = [{ role: 'user' as const, content: QUESTION, pictures: [picture] }];
    const { events, texts } = await answers([{ adapter: null, messages }, { adapter, messages }]); // prettier-ignore
    expect(texts).toEqual([told['scene'], told['scene, adapted']]);
    expect(new Set(Object.values(told)).size).toBe(3);
    const looked = events.filter((event) => event.kind === 'loading' && event.what === 'Looking at scene.jpg');
    expect(looked).toHaveLength(1);
  });

  it('keeps what was shown through the conversation', async () => {
    const [first, second] = [await added('scene.jpg'), await added('alpha.webp')];
    const before = (picture: typeof first): PlaygroundMessage[] => [
      { role: 'user', content: QUESTION, pictures: [picture] },
      { role: 'assistant', content: 'A square.' },
      { role: 'user', content: 'And its colour?' },
    ];
    const [one, same, other] = [first, first, second].map((picture) => ({ adapter: null, messages: before(picture) }));
    const { texts } = await answers([one!, same!, other!]);
    expect(texts[1]).toBe(texts[0]);
    expect(texts[2]).not.toBe(texts[0]);
    const asked = { model, adapter: null, messages: [...before(first), { role: 'assistant' as const, content: 'Red.' }, { role: 'user' as const, content: 'And this?', pictures: [second] }] }; // prettier-ignore
    const { prompt, tokens } = await open.client.playground.prompt(asked);
    expect(prompt.split('<image>')).toHaveLength(3);
    expect(prompt).toContain('User:<image>And this?');
    // Tiles of 4 tokens each, 2 pictures of 2 tiles and the whole at least.
    expect(tokens).toBeGreaterThan(2 * 3 * 4);
  });

  it('refuses in a sentence what is no picture, and one that is asked of a model without eyes', async () => {
    const add = (name: string, bytes: Buffer) => open.client.playground.addPicture({ name, data: bytes.toString('base64') }); // prettier-ignore
    await expect(add('notes.png', Buffer.from('hello'))).rejects.toThrow('notes.png is no picture; PNG, JPEG and WebP are read'); // prettier-ignore
    const whole = await fs.readFile(join(pictures, 'plain.png'));
    await expect(add('half.png', whole.subarray(0, -40))).rejects.toThrow('half.png is not a whole PNG picture');
    // The header alone says how large it is.
    const huge = Buffer.from(whole);
    huge.writeUInt32BE(10_000, 16);
    huge.writeUInt32BE(10_000, 20);
    await expect(add('huge.png', huge)).rejects.toThrow(/huge\.png (has 10000 x 10000 pixels|is not a whole)/);
    const text = writeTinyChatModel(join(scratch.folder, 'tiny-chat'));
    const messages = [{ role: 'user' as const, content: QUESTION, pictures: [await added('plain.png')] }];
    await expect(answers([{ adapter: null, messages }], text)).rejects.toThrow('tiny-chat reads text alone; choose a model that takes pictures'); // prettier-ignore
    const sees = (on: string, adapter: string | null) => open.client.playground.sees({ model: on, adapter });
    expect(await sees(text, null)).toEqual({ sees: false, makesPictures: false, name: 'tiny-chat' });
    expect(await sees(model, null)).toEqual({ sees: true, makesPictures: false, name: 'model' });
    // Columns with an adapter are on its own base model.
    expect(await sees(text, adapter)).toEqual({ sees: true, makesPictures: false, name: 'model' });
    expect(await sees('smollm2-135m', null)).toMatchObject({ sees: false });
  });

  it('keeps pictures for as long as a conversation has them', async () => {
    const picture = await added('gray.png');
    const conversation = {
      ...{ model, columns: [{ adapter: null, name: 'Base model' }], system: '', template: null, sampling: {} },
      turns: [{ prompt: QUESTION, pictures: [picture], answers: [{ text: 'Gray.', tokens: 2, seconds: 0.1 }] }],
    };
    const { id } = await open.client.playground.keepChat({ title: 'Gray', conversation });
    expect((await open.client.playground.chat({ id })).conversation.turns).toEqual(conversation.turns);
    const long = new Date(Date.now() - 48 * 3_600_000);
    const file = open.studio.pictures.pathOf(picture.id);
    const loose = open.studio.pictures.pathOf((await added('gray.jpg')).id);
    for (const path of [file, loose]) await fs.utimes(path, long, long);
    await open.studio.pictures.sweep();
    await expect(fs.stat(loose)).rejects.toThrow('ENOENT');
    expect(await fs.readFile(file, 'base64')).toBe(await base64('gray.png'));
    await open.client.playground.removeChat({ id });
    await expect(fs.stat(file)).rejects.toThrow('ENOENT');
    const messages = [{ role: 'user' as const, content: QUESTION, pictures: [picture] }];
    await expect(answers([{ adapter: null, messages }])).rejects.toThrow('The picture gray.png is not there any more. Add it again.'); // prettier-ignore
  });
});

describe('the inspector', () => {
  let tower: string;
  /** two squares of noise beside each other, in both orders: the model sees each as a tile */
  let sides: ChatPicture[];
  const bytes: Buffer[] = [];
  beforeAll(async () => {
    const targets = ['q_proj', 'tower.q_proj', 'connector.proj'];
    await writeRandomAdapter(join(scratch.folder, 'seeing'), model, { options: { targets } });
    tower = (await open.client.adapters.import({ path: join(scratch.folder, 'seeing'), model })).id;
    const noise = (seed: number) =>
      Array.from({ length: 16 * 16 * 3 }, (_, i) => ((i + seed) * 7919 * (seed + 3)) % 251);
    const [left, right] = [noise(1), noise(2)];
    const rows = (one: number[], other: number[]) =>
      Array.from({ length: 16 }, (_, y) => [one, other].flatMap((half) => half.slice(y * 48, (y + 1) * 48))).flat();
    for (const picture of [rows(left, right), rows(right, left)])
      bytes.push(
        await sharp(Buffer.from(picture), { raw: { width: 32, height: 16, channels: 3 } })
          .png()
          .toBuffer(),
      );
    const add = (one: Buffer, i: number) => open.client.playground.addPicture({ name: `${i}.png`, data: one.toString('base64') }); // prettier-ignore
    sides = await Promise.all(bytes.map(add));
  });
  const route = (id: string, site: string, pictures: ChatPicture[], layer = 0) =>
    open.client.inspector.route({ id, heads: [], text: QUESTION, layer, site, pictures });

  it('says where on a picture each patch lies that a head serves: what is swapped in the picture is swapped there', async () => {
    for (const [id, site, side] of [
      [adapter, 'q_proj', 2],
      [tower, 'tower.q_proj', 4],
      [tower, 'connector.proj', 2],
    ] as const) {
      // prettier-ignore
      const [one, other] = await Promise.all(sides.map(async (picture) => (await route(id, site, [picture])).pictures[0]!));
      expect(one).toMatchObject({ name: '0.png', width: 32, height: 16 });
      expect(
        one!.parts.map(({ box, isTile, rows, columns }) => [
          box.left,
          box.top,
          box.width,
          box.height,
          isTile,
          rows,
          columns,
        ]),
      ).toEqual([
        // prettier-ignore
        [0, 0, 0.5, 1, true, side, side],
        [0.5, 0, 0.5, 1, true, side, side],
        [0, 0, 1, 1, false, side, side],
      ]);
      const [left, right] = one!.parts.map(({ omega }) => omega);
      const [swapped, back] = other!.parts.map(({ omega }) => omega);
      expect(gap(left!, back!)).toBeLessThan(1e-5);
      expect(gap(right!, swapped!)).toBeLessThan(1e-5);
      expect(gap(left!, right!)).toBeGreaterThan(1e-3);
      for (const shares of left!) expect(shares.reduce((sum, share) => sum + share)).toBeCloseTo(1, 5);
    }
  });

  it('gives each token what the router makes of it, worked out from the files', async () => {
    const found = await route(adapter, 'q_proj', [sides[0]!]);
    expect(found.tokens.flatMap((token) => ('part' in token ? [token] : []))).toEqual([0, 1, 2].map((part) => ({ picture: 0, part }))); // prettier-ignore
    expect(found.tokens.map((token) => ('text' in token ? token.text : '▦')).join('')).toMatch(/User:.*▦.*▦.*▦.*What is in the picture\?/s); // prettier-ignore
    expect(found.left).toBe(0);
    await openEngine('cpu');
    const byHand = await omegaByHand(model, join(scratch.folder, 'strong'), bytes[0]!);
    const omega = found.pictures[0]!.parts.flatMap((part) => part.omega);
    expect(omega).toHaveLength(12);
    expect(gap(omega, byHand)).toBeLessThan(1e-5);
  });

  it('says that what sees needs a picture, and a model without eyes that it can’t be shown one', async () => {
    await expect(route(tower, 'tower.q_proj', [])).rejects.toThrow('tower.q_proj is in what sees pictures, and a text doesn\'t pass it. Add a picture'); // prettier-ignore
    const text = writeTinyChatModel(join(scratch.folder, 'blind'));
    await writeRandomAdapter(join(scratch.folder, 'words'), text);
    const { id } = await open.client.adapters.import({ path: join(scratch.folder, 'words'), model: text });
    await expect(route(id, 'q_proj', [sides[0]!])).rejects.toThrow('blind reads text alone');
  });
});

describe('the endpoint', () => {
  let client: OpenAI;
  beforeAll(async () => {
    const { url, token } = await open.client.serving.start({ ids: [adapter], port: 0 });
    client = new OpenAI({ baseURL: url, apiKey: token!, maxRetries: 0 });
  });
  afterAll(() => open.client.serving.stop());

  type Parts = OpenAI.ChatCompletionContentPart[];
  const ask = async (name: string, ...content: Parts) => {
    const messages = [{ role: 'user' as const, content: [...content, { type: 'text' as const, text: QUESTION }] }];
    const answer = await client.chat.completions.create({ model: name, messages, max_tokens: TOKENS, temperature: 0 });
    return answer.choices[0]!.message.content;
  };
  const at = (url: string) => ({ type: 'image_url' as const, image_url: { url } });

  it('answers about pictures in data URLs as the command line does', async () => {
    const [scene, alpha] = [await base64('scene.jpg'), await base64('alpha.webp')];
    expect(await ask('model', at(`data:image/jpeg;base64,${scene}`))).toBe(told['scene']);
    expect(await ask('model', at(`data:image/webp;base64,${alpha}`))).toBe(told['alpha']);
    expect(await ask('strong', at(`data:image/jpeg;base64,${scene}`))).toBe(told['scene, adapted']);
  });

  it('refuses by name what lies elsewhere, is no picture, or is shown by no user', async () => {
    const refused = (url: string, told: RegExp) =>
      expect(ask('model', at(url))).rejects.toMatchObject({
        status: 400,
        message: expect.stringMatching(told) as string,
      });
    await refused(
      'https://example.com/a.png',
      /content\.0\.image_url: the picture is at https:\/\/example\.com\/a\.png, and nothing is fetched/,
    );
    await refused('file:///etc/passwd', /is at file:\/\/\/etc\/passwd, and nothing is fetched or read/);
    await refused('/etc/passwd', /is at \/etc\/passwd, and nothing is fetched/);
    await refused('data:image/gif;base64,R0lGODlh', /of the kind image\/gif; PNG, JPEG and WebP are read/);
    await refused('data:image/png;base64,!!!!', /not base64/);
    await refused(`data:image/png;base64,${Buffer.from('hello').toString('base64')}`, /picture 1 is no picture/);
    const data = `data:image/png;base64,${await base64('plain.png')}`;
    await expect(ask('model', ...Array.from({ length: 33 }, () => at(data)))).rejects.toMatchObject({ status: 400 });
    const messages = [{ role: 'system', content: [at(data)] }, { role: 'user', content: QUESTION }] as unknown as OpenAI.ChatCompletionMessageParam[]; // prettier-ignore
    await expect(client.chat.completions.create({ model: 'model', messages })).rejects.toMatchObject({
      status: 400,
      param: 'messages.0.content.0.image_url',
    });
  });
});
