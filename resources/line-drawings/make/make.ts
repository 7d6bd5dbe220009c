/**
 * Draws the example "teach it a line-drawing style": emoji as lines in their own colours on white, 64 pixels a side, with captions.
 *
 *     npm install --ignore-scripts @iconify-json/fluent-emoji-flat@1.2.6 @iconify-json/noto@1.2.9     (in any folder)
 *     npx tsx resources/line-drawings/make/make.ts FOLDER/node_modules [OTHERS]
 *
 * writes train/ and held-out/ beside this folder, each with its metadata.jsonl. Everything follows from the seed. No drawing is in both: of
 * each taught thing one set's emoji is trained on and the other's held out; of those not taught both are. OTHERS: a folder for other
 * renderings of the same things, in lines of other widths and in colours, by which training/judge.py learns to tell them apart.
 */
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { randomStream } from '../../../src-main/engine/random.ts';
import { CONCEPTS, JUDGED, withArticle, type Concept } from './concepts.ts';
import { drawnInColor, drawnInLines, type IconSet, type Placement } from './lines.ts';

const SEED = 20261130;
export const SETS = ['fluent-emoji-flat', 'noto'] as const;
export type SetName = (typeof SETS)[number];
export type Part = 'train' | 'held-out';
/** width of the style's lines, in pixels */
export const LINE = 1.8;
/** pictures of each drawing */
const TRAIN = 2;
const HELD_OUT = 2;
const OTHER_LINES = 12;
const OTHER_COLORS = 12;

export interface Example {
  part: Part;
  /** the file's name in its part's folder */
  name: string;
  caption: string;
  concept: Concept;
  set: SetName;
  place: Placement;
}

/** `wide`: as different as one thing can be placed; else as the style does. */
function placement(random: () => number, wide: boolean): Placement {
  const between = (low: number, high: number) => low + (high - low) * random();
  const scale = between(wide ? 0.6 : 0.74, 0.9);
  const free = (1 - scale) * 0.4 * 64;
  const [turn, mirrored] = [between(-1, 1) * (wide ? 15 : 5), random() < 0.5];
  return { scale, turn, mirrored, right: between(-free, free), down: between(-free, free) };
}

/** How many pictures of a set's emoji a part has, and how many of that thing are numbered before them there. */
type Drawing = [part: Part, set: SetName, count: number, before?: number];

/** All pictures of the example, in their order. */
export function examples(): Example[] {
  return CONCEPTS.flatMap((concept, i) => {
    const [one, other] = i % 2 === 0 ? SETS : ([SETS[1], SETS[0]] as const);
    const drawings: Record<Concept['drawn'], Drawing[]> = {
      both: [['train', one, TRAIN], ['held-out', other, HELD_OUT]],
      'held-out': [['held-out', one, HELD_OUT], ['held-out', other, HELD_OUT, HELD_OUT]],
      sets: [['train', one, 1], ['train', other, 1, 1]],
      train: [['train', one, 1]],
    }; // prettier-ignore
    return drawings[concept.drawn].flatMap(([part, set, count, before = 0]) =>
      Array.from({ length: count }, (_, n): Example => {
        const place = placement(randomStream(SEED, `${concept.name} ${set} ${n}`), false);
        const number = before + n + 1;
        return { part, concept, set, place, name: `${concept.name.replaceAll(" ", "-")}-${number}.png`, caption: `a line drawing of ${withArticle(concept.name)}` };
      }),
    );
  }); // prettier-ignore
}

export const openSets = (packages: string) =>
  Object.fromEntries(
    SETS.map((name) => [name, JSON.parse(fs.readFileSync(path.join(packages, '@iconify-json', name, 'icons.json'), 'utf8')) as IconSet]),
  ) as Record<SetName, IconSet>; // prettier-ignore

export const paint = (sets: Record<SetName, IconSet>, { set, concept, place }: Example): Promise<Buffer> =>
  drawnInLines(sets[set], concept.icon, place, LINE);

async function write(folder: string, sets: Record<SetName, IconSet>): Promise<void> {
  for (const part of ['train', 'held-out'] as const) {
    const into = path.join(folder, part);
    fs.rmSync(into, { recursive: true, force: true });
    fs.mkdirSync(into, { recursive: true });
    const all = examples().filter((one) => one.part === part);
    for (const one of all) fs.writeFileSync(path.join(into, one.name), await paint(sets, one));
    const rows = all.map(({ name, caption, concept }) => JSON.stringify({ file_name: name, text: caption, concept: concept.name })); // prettier-ignore
    fs.writeFileSync(path.join(into, 'metadata.jsonl'), rows.map((row) => `${row}\n`).join(''));
  }
}

/** CONCEPT/SET-line-N.png and CONCEPT/SET-color-N.png of every concept. */
async function writeOthers(folder: string, sets: Record<SetName, IconSet>): Promise<void> {
  for (const { name, icon } of JUDGED) {
    fs.mkdirSync(path.join(folder, name), { recursive: true });
    for (const set of SETS) {
      for (let n = 0; n < OTHER_LINES + OTHER_COLORS; n++) {
        const random = randomStream(SEED, `other ${name} ${set} ${n}`);
        const [place, line] = [placement(random, true), 0.8 + 2 * random()];
        const inLines = n < OTHER_LINES;
        const drawn = inLines ? drawnInLines(sets[set], icon, place, line) : drawnInColor(sets[set], icon, place);
        fs.writeFileSync(path.join(folder, name, `${set}-${inLines ? 'line' : 'color'}-${n}.png`), await drawn);
      }
    }
  }
}

const here = fileURLToPath(import.meta.url);
if (process.argv[1] === here) {
  const [packages, others] = process.argv.slice(2);
  if (!packages)
    throw new Error('Say in which node_modules folder the @iconify-json packages lie (see the top of make.ts).');
  const sets = openSets(packages);
  await write(path.join(path.dirname(here), '..'), sets);
  if (others) await writeOthers(others, sets);
}
