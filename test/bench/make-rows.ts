import fs from 'node:fs';
import { once } from 'node:events';
import { randomStream } from '../../src-main/engine/random.ts';

const SYLLABLES = 'ba de fi go hu ka le mi no pu ra se ti vo wu ya be di fo gu'.split(' ');
const ENDINGS = ['.', '?', '!', ',', ';', ''];

/** Writes so many rows of instruction and output, some 500 bytes each, in words of a made-up language; by `seed` always the same. */
export async function makeRows(file: string, rows: number, seed = 0): Promise<void> {
  const random = randomStream(seed, 'rows');
  const pick = <T>(list: T[]) => list[Math.floor(random() * list.length)]!;
  const words = Array.from({ length: 5000 }, () =>
    Array.from({ length: 1 + Math.floor(3 * random()) }, () => pick(SYLLABLES)).join(''),
  );
  const text = (count: number) =>
    Array.from({ length: count }, (_, i) => pick(words) + (i % 9 === 8 ? pick(ENDINGS) : '')).join(' ');
  const out = fs.createWriteStream(file);
  let lines: string[] = [];
  for (let row = 0; row < rows; row++) {
    lines.push(JSON.stringify({ instruction: `${row}: ${text(24)}?`, output: text(30 + Math.floor(72 * random())) }));
    if (lines.length < 1000 && row < rows - 1) continue;
    if (!out.write(`${lines.join('\n')}\n`)) await once(out, 'drain');
    lines = [];
  }
  out.end();
  await once(out, 'finish');
}
