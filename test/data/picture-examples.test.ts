import fs from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { examples, painted, table, type Part } from '../../resources/picture-examples/make/make.ts';
import { answerByPixels } from './pictures/answers.ts';
import { Pixels } from './pictures/blobs.ts';

const folder = path.join(import.meta.dirname, '../../resources/picture-examples');
const read = (part: Part) => fs.readFileSync(path.join(folder, `${part}.csv`), 'utf8');
const rows = (part: Part) =>
  read(part)
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => /^([^,]+),"?(.+?)"?,(\w+)$/.exec(line)!.slice(1) as [string, string, string]);

describe.each(['train', 'held-out'] as const)('the example pictures, %s', (part) => {
  it('have the answers that their pixels give', async () => {
    const pictures = new Map<string, Pixels>();
    for (const name of new Set(rows(part).map(([file]) => file)))
      pictures.set(name, await Pixels.read(path.join(folder, name)));
    const wrong = rows(part).filter(([name, question, answer]) => answerByPixels(pictures.get(name)!, question) !== answer); // prettier-ignore
    expect(wrong).toEqual([]);
  });

  it('are what the generator draws', async () => {
    const drawn = examples()[part];
    expect(table(drawn)).toBe(read(part));
    for (const example of drawn.slice(0, 20)) {
      const [now, kept] = await Promise.all([painted(example), fs.promises.readFile(path.join(folder, example.name))].map(async (file) => sharp(await file).raw().toBuffer())); // prettier-ignore
      // Other builds of the renderer may round an edge's pixel otherwise.
      expect(Math.max(...now!.map((value, i) => Math.abs(value - kept![i]!)))).toBeLessThanOrEqual(2);
    }
  });
});

it('500 questions or more are held out, about pictures that are not trained on', async () => {
  const held = rows('held-out');
  expect(held.length).toBeGreaterThanOrEqual(500);
  const pixels = async (part: Part) => {
    const names = [...new Set(rows(part).map(([name]) => name))];
    return Promise.all(names.map(async (name) => (await sharp(path.join(folder, name)).raw().toBuffer()).toString('base64'))); // prettier-ignore
  };
  const trained = new Set(await pixels('train'));
  expect((await pixels('held-out')).filter((picture) => trained.has(picture))).toEqual([]);
});

it('no answer to a kind of question can be guessed most of the time', () => {
  const byAnswer: Record<string, number> = {};
  for (const [, , answer] of rows('held-out')) byAnswer[answer] = (byAnswer[answer] ?? 0) + 1;
  const most = Math.max(...Object.values(byAnswer)) / rows('held-out').length;
  expect(most).toBeLessThan(0.2);
});
