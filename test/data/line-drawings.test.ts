import fs from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { drawnInLines, outlines } from '../../resources/line-drawings/make/lines.ts';
import { examples, type Part } from '../../resources/line-drawings/make/make.ts';
import { parseRecipe } from '../../src-main/recipe/recipe.ts';
import { EXAMPLES } from '../../src-renderer/views/wizard/examples.ts';

const folder = path.join(import.meta.dirname, '../../resources/line-drawings');
const rows = (part: Part) =>
  fs
    .readFileSync(path.join(folder, part, 'metadata.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { file_name: string; text: string; concept: string });

describe.each(['train', 'held-out'] as const)('the line drawings, %s', (part) => {
  it('are listed as the generator names them, and nothing else lies there', () => {
    const made = examples().filter((one) => one.part === part);
    expect(rows(part)).toEqual(made.map(({ name, caption, concept }) => ({ file_name: name, text: caption, concept: concept.name }))); // prettier-ignore
    const files = fs.readdirSync(path.join(folder, part)).filter((name) => name !== 'metadata.jsonl');
    expect(files.sort()).toEqual(made.map(({ name }) => name).sort());
  });

  it('are lines on white, 64 pixels a side, with nothing at the border', async () => {
    const wrong = [];
    for (const { file_name: name } of rows(part)) {
      const { data, info } = await sharp(path.join(folder, part, name)).removeAlpha().raw().toBuffer({ resolveWithObject: true }); // prettier-ignore
      const light = Array.from({ length: 64 * 64 }, (_, i) => Math.min(...data.subarray(i * info.channels, (i + 1) * info.channels))); // prettier-ignore
      const inked = light.filter((value) => value < 160).length / light.length;
      const white = light.filter((value) => value > 250).length / light.length;
      const border = light.some((value, i) => value < 160 && [0, 63].some((end) => i % 64 === end || (i >> 6) === end)); // prettier-ignore
      if (info.width !== 64 || info.height !== 64 || inked < 0.03 || inked > 0.45 || white < 0.4 || border)
        wrong.push({ name, inked, white, border });
    }
    expect(wrong).toEqual([]);
  });
});

it('no emoji is drawn both in a picture to train on and in a held-out one; a quarter of the things is held out altogether', () => {
  const drawings = (part: Part) => new Set(examples().filter((one) => one.part === part).map(({ concept, set }) => `${concept.icon} ${set}`)); // prettier-ignore
  const [train, held] = [drawings('train'), drawings('held-out')];
  expect([...train].filter((one) => held.has(one))).toEqual([]);
  const names = (part: Part) => new Set(rows(part).map(({ concept }) => concept));
  const unseen = [...names('held-out')].filter((name) => !names('train').has(name));
  expect(unseen).toHaveLength(12);
  expect(names('held-out').size).toBe(48);
});

it('what is in front hides the lines of what is behind, shades leave none, and each line has its shape’s colour, dark enough to be seen', async () => {
  const body =
    '<defs><linearGradient id="a"><stop stop-color="#FFFF00"/><stop stop-color="#00f"/></linearGradient></defs><rect fill="#e33" x="16" y="16" width="32" height="32"/><rect fill="#33e" opacity=".4" x="24" y="20" width="4" height="24"/>' +
    '<rect fill="url(#a)" x="36" y="24" width="24" height="16"/><path fill="none" stroke="#000" stroke-width="9" d="M4 8h20"/>';
  expect(outlines(body)).toBe(
    '<rect stroke="#ee3333" x="16" y="16" width="32" height="32"/><rect stroke="#929200" x="36" y="24" width="24" height="16"/><path fill="none" stroke="#000000" d="M4 8h20"/>',
  );
  const place = { scale: 1, turn: 0, mirrored: false, right: 0, down: 0 };
  const png = await drawnInLines({ width: 64, icons: { box: { body } } }, 'box', place, 2);
  const pixels = await sharp(png).grayscale().raw().toBuffer();
  const dark = (x: number, y: number) => pixels[y * 64 + x]! < 200;
  expect([[16, 30], [36, 30], [59, 30], [30, 48], [10, 8]].map(([x, y]) => dark(x!, y!))).toEqual(Array(5).fill(true)); // prettier-ignore
  // Inside the first box, where its edge is hidden, in the shade, and under the open line.
  expect([[20, 30], [48, 30], [24, 30], [10, 11]].map(([x, y]) => dark(x!, y!))).toEqual(Array(4).fill(false)); // prettier-ignore
});

it('Home’s example trains as the one of the command line does', () => {
  const file = path.join(folder, 'recipe.yaml');
  const recipe = parseRecipe(fs.readFileSync(file, 'utf8'), file);
  const { model, fixed } = EXAMPLES.drawings;
  const valueOf = (key: string) => key.split('.').reduce((at: unknown, part) => (at as Record<string, unknown>)[part], recipe); // prettier-ignore
  const keys = Object.keys(fixed);
  expect(keys).toContain('training.steps');
  expect([model, fixed]).toEqual([recipe.model, Object.fromEntries(keys.map((key) => [key, valueOf(key)]))]);
});
