import { execFile } from 'node:child_process';
import { promises as fs } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { DataReport } from '../../src-main/data/types.ts';
import { builtProcess } from '../support/built.ts';
import { writePictureData, writePictureModel } from '../tasks/support.ts';
import { scratchFolder } from '../support/scratch.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { openTestStudio, player } from './support/studio.ts';

/** Sixteen whole pictures, a broken one, one that is not there, and one whose header says 100 megapixels. */
const scratch = scratchFolder();
let open: ReturnType<typeof openTestStudio>;
let model: string;
let data: string;

/** Two of one question, long enough to be nearly another, about two pictures; the third says the same of the second again. */
const LONG = ['0.png', '1.png', '1.png'].map((name) => `${name},Which of the four colours that there are here does this picture have?,red`); // prettier-ignore

beforeAll(async () => {
  open = openTestStudio(scratch.folder, player(1, 1));
  model = await writePictureModel(scratch.folder);
  const names = ['half.png', 'gone.png', 'huge.png'];
  data = await writePictureData(scratch.folder, [...names.map((name) => `${name},What colour?,red`), ...LONG]); // prettier-ignore
  const whole = await fs.readFile(join(data, '0.png'));
  await fs.writeFile(join(data, 'half.png'), whole.subarray(0, -20));
  const huge = { width: 10_000, height: 10_000, channels: 3 as const, background: '#fff' };
  await sharp({ create: huge, limitInputPixels: false }).png().toFile(join(data, 'huge.png'));
});
afterAll(async () => {
  await open.studio.close();
  scratch.remove();
});

const REASONS = [/^half\.png is not a whole PNG/, /^gone\.png can't be read \(ENOENT\)/, /^huge\.png has 10000 x 10000 pixels/]; // prettier-ignore

it('previews a folder of pictures with what each becomes, what is learned, and the rows whose pictures are no use', async () => {
  const mix = [{ path: data, weight: 1 }];
  const { report, examples, whole } = await open.client.datasets.preview({ model, mix, sequenceLength: 400 });
  expect([whole, report.examples, report.kept]).toEqual([true, 22, 19]);
  expect(report.dropped.map(({ reason, rows }) => ({ reason, rows }))).toEqual(
    REASONS.map((reason, i) => ({ reason: expect.stringMatching(reason) as string, rows: [18 + i] })),
  );
  const [{ tokens, spans, pictures }] = examples as [(typeof examples)[number]];
  expect(pictures).toMatchObject([{ name: '0.png', width: 16, height: 16 }]);
  const small = Buffer.from(pictures![0]!.thumbnail.split(',')[1]!, 'base64');
  const { channels } = await sharp(small).stats();
  expect(channels.map(({ mean }) => Math.round(mean / 50))).toEqual([5, 0, 0]);
  // Four tiles of 16 pixels and the whole, each of 4 tokens between others that name it.
  expect(spans.filter(({ text }) => text === '[4 of a picture]')).toHaveLength(5);
  expect(spans.filter(({ loss }) => loss).map(({ text }) => text.trim())).toEqual([expect.stringMatching(/^red/)]);
  expect(pictures![0]!.tokens).toBeGreaterThan(5 * 4);
  expect(pictures![0]!.tokens).toBeLessThan(tokens);
  // A first look, before all of them are decoded.
  const first = await open.client.datasets.preview({ model, mix, sequenceLength: 400, sample: true });
  expect(first.examples).toEqual(examples);
});

it('is reported by the command line as training reads it', async () => {
  const asked = [builtProcess('effilora.js'), 'data', data, '--model', model, '--sequence-length', '400', '--json'];
  const { stdout } = await promisify(execFile)(process.execPath, asked);
  const { examples, kept, dropped, tokens } = JSON.parse(stdout) as DataReport;
  expect([examples, kept, dropped.map(({ rows }) => rows)]).toEqual([22, 19, [[18], [19], [20]]]);
  const mix = [{ path: data, weight: 1 }];
  const { report } = await open.client.datasets.preview({ model, mix, sequenceLength: 400 });
  expect(tokens).toBe(report.tokens);
});

it('shows the pictures of its rows, and what is wrong with one', async () => {
  const { id, own } = await open.client.datasets.add({ path: data });
  expect(own).toBe(false);
  const { rows } = await open.client.datasets.rows({ id, from: 14, count: 5 });
  expect(rows.map(({ row, pictures }) => [row, pictures?.map(({ name }) => name)])).toEqual([
    [16, ['14.png']],
    [17, ['15.png']],
    ...[18, 19, 20].map((row) => [row, undefined]),
  ]);
  expect(rows.slice(2).map(({ problem }) => problem)).toEqual(REASONS.map((reason) => expect.stringMatching(reason) as string)); // prettier-ignore
  for (const { thumbnail, width } of rows[0]!.pictures!) {
    expect(thumbnail.length).toBeLessThan(20_000);
    expect(width).toBe(30);
  }
  // The same question about another picture is another question.
  const { duplicates } = await open.client.datasets.look({ id });
  expect(duplicates).toEqual({ same: [[22, 23]], near: [], contradicting: [] });
  await expect(open.client.datasets.own({ id })).rejects.toThrow('is about pictures, which lie beside it');
});

it('says of a model without eyes that it sees none of them', async () => {
  const text = writeTinyChatModel(join(scratch.folder, 'tiny-chat'));
  const asked = { model: text, sequenceLength: 400 };
  await expect(open.client.datasets.preview({ ...asked, mix: [{ path: data, weight: 1 }] })).rejects.toThrow(
    /column "image"\), and the base model reads text alone; choose one that sees pictures/,
  );
  // Where the name of a file is no column of pictures, there are texts to learn.
  const named = join(scratch.folder, 'named');
  await fs.cp(data, named, { recursive: true });
  const table = join(named, 'metadata.csv');
  await fs.writeFile(table, (await fs.readFile(table, 'utf8')).replace('image,', 'file_name,'));
  const { parts } = await open.client.datasets.preview({ ...asked, mix: [{ path: named, weight: 1 }] });
  expect(parts[0]!.notes.join()).toContain("Its rows name pictures, which tiny-chat can't see");
  const { models } = await (await open.client.models.add({ path: model }), open.client.models.list());
  expect(models.find(({ reference }) => reference === model)!.sees).toBe(true);
  expect(models.find(({ reference }) => reference === 'smollm2-135m')!.sees).toBe(false);
});
