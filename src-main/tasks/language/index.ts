import { packBatch, padBatch } from '../../data/batches.ts';
import { measureDataset, openDataset, openSample, type PreparedExample } from '../../data/dataset.ts';
import type { BatchTensors } from '../../models/batch.ts';
import { loadCausalLM, type CausalLM } from '../../models/causal-lm.ts';
import type { TokenBatch } from '../../models/types.ts';
import type { TextTask } from '../task.ts';
import { optionsOf, writtenAnswerOf } from '../answers.ts';
import { answersToTheLetter, likeliestOption, logLikelihoods, meanLoss } from './evaluation.ts';
import { readRunData } from './examples.ts';
import { nextTokenObjective } from '../next-token.ts';
import { textCost, textHeld, textPlan } from '../text-plan.ts';
import { adapterOptions, methodOf } from '../../recipe/vision.ts';
import { readingOptions } from '../../data/reading-options.ts';
import { HeldOutPrompts } from '../held-out-prompts.ts';

/** Rows of a file that a first look is at: read and tokenized in about a second. */
const FIRST_ROWS = 200;

const PLAN = textPlan();

/** The next token of texts, by a decoder-only model. */
export const language: TextTask<PreparedExample, TokenBatch, BatchTensors, CausalLM> = {
  unit: 'tokens',
  load: loadCausalLM,
  ...{ adapterOptions, methodOf, reading: readingOptions },
  examples: readRunData,
  dataset: (source, index, _, options) => openDataset(source, index, options),
  sample: (source, index, _, options) => openSample(source, index, options, FIRST_ROWS),
  measure: (source, _, options) => measureDataset(source, 0, options),
  batch: (examples, { packing, sequenceLength }) =>
    packing ? packBatch(examples, sequenceLength) : padBatch(examples),
  objective: nextTokenObjective,
  evaluate: meanLoss,
  evaluated: (examples) => Array.from(examples, (example) => () => padBatch([example])),
  choices: {
    of: optionsOf,
    written: writtenAnswerOf,
    likelihoods: logLikelihoods,
    toTheLetter: answersToTheLetter,
    likeliest: likeliestOption,
  },
  samples: ({ tokenizer }, heldOut, { samples: count }) =>
    new HeldOutPrompts({ writes: (model) => model }, tokenizer, heldOut, count),
  ...{ plan: PLAN, cost: textCost(PLAN), heldBytes: textHeld(PLAN) },
};
