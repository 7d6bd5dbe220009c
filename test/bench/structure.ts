// npm run bench:structure -- DATA [NAME...]: which structure learns most from what; the Configurator's rules follow from it. DATA holds
// math-word, boolq, arc-open and arc-challenge as <set>.train.jsonl and <set>.test.jsonl (instruction, output). Each run is a process of
// its own and one line of runs/structure/results.jsonl, and is not run again; NAMEs choose runs whose name holds one, `final` those on the
// test sets; `keep` writes what is there into docs/studies/structure.jsonl. Prints the tables; without DATA those of the lines kept there.
import fs from 'node:fs/promises';
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { TENSORFLOW_VERSION } from '../../src-main/engine/tensorflow/install.ts';
import { writeTokenized } from './quality-data.ts';
import type { Measurement } from './quality-runs.ts';
import { measuredBy, MODEL, recipeOf, RUNS, SLICES, type StructureFinished } from './structure-runs.ts';
import { structureTables } from './structure-tables.ts';
import { linesOf, programLines, Study } from './study.ts';

const KEPT = fileURLToPath(new URL('../../docs/studies/structure.jsonl', import.meta.url));
const study = new Study('runs/structure');
const tokens = (name: string) => study.at(`data/${name}`);

/** A line that says where it was measured, and names no folder of this machine. */
function keptLine({ recipe, ...line }: StructureFinished): string {
  const machine = `${os.cpus().length} x ${os.cpus()[0]!.model}`;
  const versions = { node: process.versions.node, tensorflow: TENSORFLOW_VERSION };
  return JSON.stringify({ ...line, recipe: recipe.replaceAll(study.at(''), 'runs/structure'), machine, ...versions });
}

const [source, ...chosen] = process.argv.slice(2);
if (source === undefined) {
  console.log(structureTables(linesOf<StructureFinished>(await fs.readFile(KEPT, 'utf8'))));
} else if (chosen.join() === 'keep') {
  const finished = await study.read<StructureFinished>('results.jsonl');
  await fs.writeFile(KEPT, `${finished.map(keptLine).join('\n')}\n`);
} else {
  await writeTokenized(MODEL, source, study.at('data'), SLICES);
  for (const run of RUNS.filter(({ name }) => chosen.length === 0 || chosen.some((part) => name.includes(part)))) {
    const files = measuredBy(run).map((name) => tokens(`${name}.jsonl`));
    const measure = async (folder: string) =>
      (await programLines<Measurement>('./quality-evaluate.ts', [MODEL, files.join(), folder]))[0]!;
    await study.once(run, recipeOf(run, tokens), measure);
  }
  console.log(structureTables(await study.read<StructureFinished>('results.jsonl')));
}
