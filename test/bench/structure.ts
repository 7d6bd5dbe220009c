// npm run bench:structure -- DATA [NAME...]: which structure learns most from what; the Configurator's rules follow from it. DATA holds
// math-word, boolq, arc-open and arc-challenge as <set>.train.jsonl and <set>.test.jsonl (instruction, output). Each run is a process of
// its own and one line of runs/structure/results.jsonl, and is not run again; NAMEs choose runs whose name holds one, `final` those on the
// test sets; `keep` adds what is there to docs/studies/structure.jsonl. Prints the tables; without DATA those of the lines kept there.
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { TENSORFLOW_VERSION } from '../../src-main/engine/tensorflow/install.ts';
import { writeTokenized } from './quality-data.ts';
import type { Measurement } from './quality-runs.ts';
import { measuredBy, MODELS, recipeOf, slicesOf, type ModelName, type StructureFinished, type StructureRun } from './structure-runs.ts'; // prettier-ignore
import { RUNS } from './structure-list.ts';
import { structureTables } from './structure-tables.ts';
import { linesOf, programLines, Study } from './study.ts';

const KEPT = fileURLToPath(new URL('../../docs/studies/structure.jsonl', import.meta.url));
const study = new Study('runs/structure');
/** Tokens of the first model lie in `data`, of others in folders of their own. */
const folderOf = (model: ModelName) => study.at(model === 'smollm2-135m' ? 'data' : `data-${model}`);

async function measure(run: StructureRun, folder: string, validation?: boolean): Promise<Measurement> {
  const files = measuredBy(run, validation).map((name) => path.join(folderOf(run.model), `${name}.jsonl`));
  return (await programLines<Measurement>('./quality-evaluate.ts', [run.model, files.join(), folder]))[0]!;
}

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
  const kept = await fs.readFile(KEPT, 'utf8');
  const names = new Set(linesOf<StructureFinished>(kept).map(({ name }) => name));
  const finished = await study.read<StructureFinished>('results.jsonl');
  await fs.appendFile(KEPT, finished.filter(({ name }) => !names.has(name)).map((line) => `${keptLine(line)}\n`).join('')); // prettier-ignore
} else {
  const runs = RUNS.filter(({ name }) => chosen.length === 0 || chosen.some((part) => name.includes(part)));
  for (const model of new Set(runs.map((run) => run.model)))
    await writeTokenized(model, source, folderOf(model), slicesOf(model), MODELS[model]);
  for (const run of runs)
    await study.once(
      run,
      recipeOf(run, (name) => path.join(folderOf(run.model), name)),
      async (folder) => ({
        ...(await measure(run, folder)),
        ...(run.isLong && { validation: (await measure(run, folder, true)).losses }),
      }),
    );
  console.log(structureTables(await study.read<StructureFinished>('results.jsonl')));
}
