import { stat } from 'node:fs/promises';
import type { MixPart, PlanRequest } from '../../../src-preload/contract/index.ts';
import type { DatasetSource, OpenDataset } from '../../data/dataset.ts';
import { concatenated, sizesOf } from '../../data/example-source.ts';
import { openRows } from '../../data/formats/rows.ts';
import { heldOutSplitOf } from '../../data/held-out.ts';
import { heterogeneity } from '../../data/heterogeneity.ts';
import { seededChoice } from '../../data/order.ts';
import type { DataFacts } from '../../effilora/proposal.ts';
import { lengthFacts } from '../../effilora/length-facts.ts';
import { fileStamp } from '../../models/identity.ts';
import type { ModelFile } from '../../models/types.ts';
import { readingOptions } from '../../data/reading-options.ts';
import { taskOf } from '../../tasks/registry.ts';

/** Texts that heterogeneity is measured on, drawn from all. */
const SAMPLED_TEXTS = 1_000;

/** What a plan knows of a mix. */
export interface MixFacts extends DataFacts {
  parts: PartFacts[];
}

/** One dataset: examples of the split that is read, and of the one that is held out (undefined: a part of the rows is). */
interface PartFacts {
  examples: number;
  separate?: { examples: number; meanTokens: number };
}

/** The mix looked at last: while a slider moves only the budget changes, and reading again would hold the plan up. */
let known: { key: string; facts: MixFacts } | undefined;

export async function knownFacts(model: ModelFile, request: PlanRequest): Promise<MixFacts> {
  // How large a part is held out changes nothing in what is read; whether there is one does.
  const evalSplit = request.fixed['training.evalSplit'] === 0 ? 0 : 1;
  const changedAt = await Promise.all(request.mix.map((part) => stampsOf(part, evalSplit)));
  const key = JSON.stringify([request.model, request.mix, evalSplit, changedAt]);
  if (known?.key !== key) known = { key, facts: await mixFacts(model, request, evalSplit) };
  return known.facts;
}

/** A folder's own stamp doesn't tell of changes in its files. */
async function stampsOf(part: MixPart, evalSplit: number): Promise<string[]> {
  if (!(await stat(part.path)).isDirectory()) return [await fileStamp(part.path)];
  const read = await openRows(part.path, part);
  const split = heldOutSplitOf(part, read, evalSplit);
  const heldOut = split === undefined ? [] : (await openRows(part.path, { ...part, split })).files;
  return Promise.all([...read.files, ...heldOut].map(fileStamp));
}

async function mixFacts(model: ModelFile, request: PlanRequest, evalSplit: number): Promise<MixFacts> {
  const options = readingOptions(model);
  const open = (part: DatasetSource, index: number) => taskOf(model).dataset(part, index, model, options) as Promise<OpenDataset>; // prettier-ignore
  const datasets: OpenDataset[] = [];
  const parts: PartFacts[] = [];
  try {
    for (const [index, part] of request.mix.entries()) {
      const dataset = await open(part, index);
      datasets.push(dataset);
      const split = heldOutSplitOf(part, dataset, evalSplit);
      const separate = split === undefined ? undefined : await open({ ...part, split }, index);
      parts.push({ examples: dataset.examples.count, separate: separate && sizeOf(separate) });
      separate?.close();
    }
    const examples = concatenated(datasets.map((dataset) => dataset.examples));
    const sampled = seededChoice(examples.count, SAMPLED_TEXTS, 0, 'texts');
    const texts = sampled.map((index) => {
      const { inputIds } = examples.read(index);
      return model.tokenizer?.decode(inputIds, { skipSpecialTokens: true }) ?? inputIds.join(' ');
    });
    return {
      parts,
      examples: examples.count,
      sampled: sampled.length,
      ...lengthFacts(sizesOf(examples)),
      clusters: heterogeneity(texts).clusters,
      seen: taskOf(model).plan.seen(model, examples),
    };
  } finally {
    for (const { close } of datasets) close();
  }
}

function sizeOf({ examples }: OpenDataset): PartFacts['separate'] {
  return { examples: examples.count, meanTokens: lengthFacts(sizesOf(examples)).meanTokens };
}
