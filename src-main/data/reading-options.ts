import type { DatasetOptions } from './dataset.ts';
import { UserError } from '../engine/types.ts';
import type { ModelFile } from '../models/types.ts';

/** Longest example read unless told otherwise, tokens. */
export const USUAL_LENGTH = 2048;

export interface ReadingOptions {
  /** longest example, tokens; default the model's context, at most `USUAL_LENGTH` */
  sequenceLength?: number;
  /** which tokens carry loss; default the answer's */
  loss?: 'answer' | 'all';
}

/** How a dataset is read for a model. @throws UserError if the sequence is longer than the model's context */
export function readingOptions(
  { name, config, tokenizer, chatTemplate: template }: ModelFile,
  { sequenceLength = Math.min(config.contextLength, USUAL_LENGTH), loss = 'answer' }: ReadingOptions = {},
): DatasetOptions {
  if (sequenceLength > config.contextLength)
    throw new UserError(
      `A sequence of ${sequenceLength} tokens was asked for, but ${name} reads ${config.contextLength} tokens at most; lower it`,
    );
  return { tokenizer, template, loss, sequenceLength, vocabularySize: config.vocabularySize };
}
