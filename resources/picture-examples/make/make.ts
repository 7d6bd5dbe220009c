/**
 * Draws the project's own pictures with questions: `npx tsx resources/picture-examples/make/make.ts` writes train.csv, held-out.csv
 * and pictures/ beside this folder. Everything follows from the seed; no picture of the one part is in the other.
 */
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { randomStream } from '../../../src-main/engine/random.ts';
import { Choice, GROUNDS, svg, type Asked } from './drawing.ts';
import { KINDS, SHARES, type Kind } from './kinds.ts';

const SEED = 20261129;
const QUESTIONS = 4;
/** pictures of each part */
export const PARTS = { train: 450, 'held-out': 140 };
export type Part = keyof typeof PARTS;

export interface Example {
  /** path in the dataset's folder */
  name: string;
  kind: Kind;
  svg: string;
  asked: Asked[];
}

/** All pictures of a part, in their order, each drawn once in both parts together. */
export function examples(): Record<Part, Example[]> {
  const seen = new Set<string>();
  const part = (name: Part) => Array.from({ length: PARTS[name] }, (_, i) => unseen(name, i, seen));
  return { train: part('train'), 'held-out': part('held-out') };
}

function unseen(part: Part, index: number, seen: Set<string>): Example {
  const kind = SHARES[index % SHARES.length]!;
  for (let attempt = 0; ; attempt++) {
    const choice = new Choice(randomStream(SEED, `${part} ${index} ${attempt}`));
    const { elements, asked } = KINDS[kind](choice);
    if (seen.has(elements)) continue;
    seen.add(elements);
    return {
      name: `pictures/${part}-${String(index + 1).padStart(3, '0')}.webp`,
      kind,
      svg: svg(elements, choice.one(GROUNDS), choice.one([96, 112, 128])),
      asked: choice.some(asked, Math.min(QUESTIONS, asked.length)),
    };
  }
}

/** The picture's file: WebP without loss. */
export const painted = (example: Example): Promise<Buffer> =>
  sharp(Buffer.from(example.svg)).removeAlpha().webp({ lossless: true, effort: 6 }).toBuffer();

/** Rows of `image,question,answer`; a question with a comma is quoted. */
export const table = (all: Example[]): string =>
  ['image,question,answer', ...all.flatMap(({ name, asked }) => asked.map(({ question, answer }) => `${name},${question.includes(',') ? `"${question}"` : question},${answer}`))]
    .map((line) => `${line}\n`)
    .join(''); // prettier-ignore

async function write(folder: string): Promise<void> {
  fs.rmSync(path.join(folder, 'pictures'), { recursive: true, force: true });
  fs.mkdirSync(path.join(folder, 'pictures'));
  for (const [part, all] of Object.entries(examples())) {
    fs.writeFileSync(path.join(folder, `${part}.csv`), table(all));
    for (const example of all) fs.writeFileSync(path.join(folder, example.name), await painted(example));
  }
}

const here = fileURLToPath(import.meta.url);
if (process.argv[1] === here) await write(path.join(path.dirname(here), '..'));
