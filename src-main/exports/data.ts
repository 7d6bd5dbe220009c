import fs from 'node:fs';
import path from 'node:path';
import type { z } from 'zod';
import type { DatasetOptions, DatasetSource, OpenDataset, PreparedExample } from '../data/dataset.ts';
import { concatenated } from '../data/example-source.ts';
import { evaluated, splitDataset, type SplitDataset } from '../data/held-out.ts';
import type { AdapterDescription } from '../effilora/adapter-schema.ts';
import { UserError } from '../engine/types.ts';
import { fileSha256 } from '../models/identity.ts';
import type { ModelFile } from '../models/types.ts';
import { recipeSchema, type Recipe } from '../recipe/recipe.ts';
import { taskOf } from '../tasks/registry.ts';
import { calibrationExamples } from './calibrate.ts';

/** The examples an export is calibrated on, and others to measure the loss on. */
export interface ExportData {
  /** name of the dataset, for the report */
  name: string;
  calibration: PreparedExample[];
  heldOut: PreparedExample[];
}

/** Where the recipe held nothing out. */
const HELD_OUT_SHARE = 0.1;
const SEQUENCE_LENGTH = 512;
const EVALUATED = 200;

/**
 * The dataset given, else the adapter's own training data, split as its recipe split it, so that nothing it was trained on is
 * measured on.
 * @returns undefined where neither is there
 * @throws UserError for a dataset that can't be read
 */
export async function exportData(
  file: ModelFile,
  description: AdapterDescription,
  calibrate?: DatasetSource,
): Promise<ExportData | undefined> {
  const { recipe, sources } = await dataSources(description, calibrate);
  if (sources.length === 0) return undefined;
  const { sequenceLength = SEQUENCE_LENGTH, loss = 'answer', long, ...training } = recipe?.training ?? {};
  const options: DatasetOptions = {
    ...{ tokenizer: file.tokenizer, template: file.chatTemplate, loss, long },
    sequenceLength: Math.min(sequenceLength, file.config.contextLength),
    vocabularySize: file.config.vocabularySize,
  };
  const parts = await splitSources(sources, training, (part, index) => taskOf(file).dataset(part, index, file, options) as Promise<OpenDataset>); // prettier-ignore
  try {
    return { name: nameOfSources(sources), ...exportDataOf(parts, training) };
  } finally {
    for (const { close } of parts) close();
  }
}

/**
 * Where an export's examples come from: the dataset given, else what is there of the adapter's own.
 * @throws UserError for one that is not there
 */
export async function dataSources(
  description: AdapterDescription,
  calibrate?: DatasetSource,
): Promise<{ recipe?: z.infer<typeof recipeSchema>; sources: DatasetSource[] }> {
  const recipe = recipeSchema.safeParse(description.recipe).data;
  const named = typeof recipe?.dataset === 'string' ? [{ path: recipe.dataset }] : (recipe?.dataset ?? []);
  const sources = calibrate ? [await givenSource(calibrate, named)] : named.filter(({ path }) => fs.existsSync(path));
  return { recipe, sources };
}

export const nameOfSources = (sources: DatasetSource[]): string =>
  sources.map(({ path: file }) => path.basename(file)).join(', ');

/** Datasets, each split as the recipe split it, or where that held nothing out by a share of its own. The caller closes them. */
export async function splitSources<Example = PreparedExample>(
  sources: DatasetSource[],
  { evalSplit = 0, seed = 0 }: Training,
  open: (part: DatasetSource, index: number) => Promise<OpenDataset<Example>>,
): Promise<SplitDataset<Example>[]> {
  const parts: SplitDataset<Example>[] = [];
  try {
    for (const [index, source] of sources.entries())
      parts.push(
        await splitDataset(source, { evalSplit: evalSplit || HELD_OUT_SHARE, seed }, (part) => open(part, index)),
      );
    return parts;
  } catch (error) {
    for (const { close } of parts) close();
    throw error;
  }
}

type Training = Partial<Pick<Recipe['training'], 'evalSplit' | 'evalExamples' | 'seed'>>;

function exportDataOf(parts: SplitDataset[], { evalExamples = EVALUATED, seed = 0 }: Training) {
  const heldOut = concatenated(parts.map((part) => part.heldOut));
  return {
    calibration: calibrationExamples(concatenated(parts.map(({ train }) => train))),
    heldOut: Array.from(evaluated(heldOut, evalExamples, seed), (prepared) => ({ ...prepared })),
  };
}

/** A dataset by path; with the mapping of the recipe's, where it is one of them. */
async function givenSource(given: DatasetSource, named: DatasetSource[]): Promise<DatasetSource> {
  const { path: file, mapping } = given;
  if (mapping !== undefined) return given;
  if (!fs.existsSync(file)) throw new UserError(`The dataset "${file}" is not there; check the path`);
  if (!fs.statSync(file).isFile()) return given;
  const hash = await fileSha256(file);
  for (const source of named)
    if (fs.statSync(source.path, { throwIfNoEntry: false })?.isFile() && (await fileSha256(source.path)) === hash)
      return { ...source, path: file };
  return given;
}
