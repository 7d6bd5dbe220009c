import type { PlanRequest } from '../../../src-preload/contract/index.ts';
import { openDataset, type OpenDataset } from '../../data/dataset.ts';
import { concatenated, sizesOf } from '../../data/example-source.ts';
import { heterogeneity } from '../../data/heterogeneity.ts';
import { seededChoice } from '../../data/order.ts';
import type { DataFacts } from '../../effilora/configurator.ts';
import { lengthFacts } from '../../effilora/length-facts.ts';
import { fileStamp } from '../../models/identity.ts';
import type { ModelFile } from '../../models/types.ts';
import { readingOptions } from '../../trainer/reading-options.ts';

/** Texts that heterogeneity is measured on, drawn from all. */
const SAMPLED_TEXTS = 1_000;

/** The mix looked at last: while a slider moves only the budget changes, and reading again would hold the plan up. */
let known: { key: string; facts: DataFacts } | undefined;

export async function knownFacts(model: ModelFile, request: PlanRequest): Promise<DataFacts> {
  const changedAt = await Promise.all(request.mix.map(({ path }) => fileStamp(path)));
  const key = JSON.stringify([request.model, request.mix, changedAt]);
  if (known?.key !== key) known = { key, facts: await dataFacts(model, request) };
  return known.facts;
}

async function dataFacts(model: ModelFile, request: PlanRequest): Promise<DataFacts> {
  const options = readingOptions(model);
  const datasets: OpenDataset[] = [];
  try {
    for (const [index, part] of request.mix.entries()) datasets.push(await openDataset(part, index, options));
    const examples = concatenated(datasets.map((dataset) => dataset.examples));
    const sampled = seededChoice(examples.count, SAMPLED_TEXTS, 0, 'texts');
    const texts = sampled.map((index) => {
      const { inputIds } = examples.read(index);
      return model.tokenizer?.decode(inputIds, { skipSpecialTokens: true }) ?? inputIds.join(' ');
    });
    return {
      examples: examples.count,
      sampled: sampled.length,
      ...lengthFacts(sizesOf(examples)),
      clusters: heterogeneity(texts).clusters,
    };
  } finally {
    for (const { close } of datasets) close();
  }
}
