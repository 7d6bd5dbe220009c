import fs from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openEngine } from '../../src-main/engine/index.ts';
import { emptyStage } from '../../src-main/studio/stage/loaded.ts';
import { routeJob } from '../../src-main/studio/stage/route.ts';
import type { RouteEvent, RouteJob } from '../../src-main/studio/stage/types.ts';
import { writeRandomAdapter } from '../support/adapters.ts';
import { temporary } from '../trainer/support.ts';
import { gap, omegaByHand } from './support/omega.ts';

/** A tiny random model of each family (models/data/vision/make_talking.py) is asked about a picture of 84 x 56. */
const talking = path.join(import.meta.dirname, '../models/data/vision/talking');
let bytes: Buffer;
beforeAll(async () => {
  await openEngine('cpu');
  const noise = Buffer.from(Array.from({ length: 84 * 56 * 3 }, (_, i) => (i * 7919) % 251));
  bytes = await sharp(noise, { raw: { width: 84, height: 56, channels: 3 } })
    .png()
    .toBuffer();
});
afterAll(() => emptyStage());

interface Family {
  name: string;
  /** where the picture stands in a prompt */
  mark: string;
  box: number[];
  grid: number[];
  more?: number;
}
const WHOLE = [0, 0, 1, 1];
it.each<Family>([
  // At a shortest edge of 16 it is 24 x 16, of which 16 x 16 are left.
  { name: 'llava', mark: '<image>', box: [4 / 24, 0, 16 / 24, 1], grid: [4, 4] },
  { name: 'gemma3', mark: '<start_of_image>', box: WHOLE, grid: [2, 2], more: 1 },
  // Merged patches of 28 pixels.
  { name: 'qwen2.5-vl', mark: '<|vision_start|><|image_pad|><|vision_end|>', box: WHOLE, grid: [2, 3] },
])('$name: each patch has what the router makes of its token, worked out from the files', async (family) => {
  const { name, mark, box, grid, more } = family;
  const folder = temporary(`route-${name}`);
  const model = path.join(folder, 'model');
  fs.cpSync(path.join(talking, name), model, { recursive: true });
  const template = `{% for message in messages %}User: {% for part in message.content %}{% if part.type == 'image' %}${mark}{% else %}{{ part.text }}{% endif %}{% endfor %}{% endfor %}`; // prettier-ignore
  fs.writeFileSync(path.join(model, 'chat_template.jinja'), template);
  const adapter = path.join(folder, 'adapter');
  await writeRandomAdapter(adapter, model, { strength: 3 });
  const job = { model, engine: 'cpu', folder: adapter, off: { heads: [], renormalize: false }, text: 'What is it?', pictures: [{ name: 'p.png', bytes }], layer: 0, site: 'q_proj' } satisfies RouteJob; // prettier-ignore
  const route = async (more: Partial<RouteJob> = {}) => {
    const events: RouteEvent[] = [];
    await routeJob({ ...job, ...more }, { tell: (event) => events.push(event), signal: new AbortController().signal });
    return events.find((event) => event.kind === 'routed')!;
  };
  const { tokens, pictures } = await route();
  const [{ parts }, ...others] = pictures as [(typeof pictures)[number]];
  expect(others).toEqual([]);
  expect(parts.map(({ rows, columns, isTile }) => [[rows, columns], isTile])).toEqual([[grid, false]]);
  const { left, top, width, height } = parts[0]!.box;
  [left, top, width, height].forEach((share, i) => expect(share).toBeCloseTo(box[i]!, 12));
  expect(tokens.filter((token) => 'part' in token)).toEqual([{ picture: 0, part: 0 }]);
  const byHand = await omegaByHand(model, adapter, bytes, more);
  expect(byHand).toHaveLength(grid[0]! * grid[1]!);
  expect(gap(parts[0]!.omega, byHand)).toBeLessThan(1e-5);
  expect(gap(byHand, byHand.toReversed())).toBeGreaterThan(1e-3);
  // With two pictures each has its own, and further layers are there, too.
  const two = await route({ pictures: [job.pictures[0]!, job.pictures[0]!] });
  expect(two.pictures.map((picture) => gap(picture.parts[0]!.omega, byHand) < 1e-5)).toEqual([true, true]);
  const above = await route({ layer: 1 });
  expect(gap(above.pictures[0]!.parts[0]!.omega, byHand)).toBeGreaterThan(1e-3);
});
