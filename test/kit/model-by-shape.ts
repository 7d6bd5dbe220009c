import { copyFileSync, mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DEFAULT_MODEL, ensureDefaultModel, packagedModelPath } from '../../src-main/models/default-model.ts';
import { FileReader } from '../../src-main/models/file-reader.ts';
import { readGgufHeader } from '../../src-main/models/gguf/header.ts';
import { programAt } from './place.ts';

/** Where the beginning of the base model's file lies in the kit. */
const BEGINNING = 'base-model-beginning.gguf';

/** What a report has to say of the steps that doctor takes in the kit. */
export const OF_ZEROS = `Of ${DEFAULT_MODEL.title} the kit has the shape alone: its weights are zeros, which take the time and the memory of any others.`;

/** Puts what comes before the weights in the base model's file into the kit. @throws UserError where the model can't be had */
export async function carryShape(folder: string): Promise<void> {
  const reader = await FileReader.open(await ensureDefaultModel((line) => console.error(line)));
  const { tensors } = await readGgufHeader(reader);
  const end = Math.min(...[...tensors.values()].map(({ offset }) => offset));
  writeFileSync(path.join(folder, BEGINNING), await reader.read(0, end));
  await reader.close();
}

/** Does something while a base model lies where the studio looks for it: as large as the real one, with zeros for weights. */
export async function withShape(work: () => Promise<void>): Promise<void> {
  const place = packagedModelPath(DEFAULT_MODEL);
  mkdirSync(path.dirname(place), { recursive: true });
  copyFileSync(programAt(BEGINNING), place);
  truncateSync(place, DEFAULT_MODEL.byteLength);
  try {
    await work();
  } finally {
    rmSync(place);
  }
}
