import { Option, type Command } from 'commander';
import type { DatasetSource } from '../data/dataset.ts';
import { EXAMPLE_FORMATS, type ExampleFormat } from '../data/types.ts';
import { UserError } from '../engine/types.ts';
import type { ReadingWish } from '../tasks/task.ts';
import { mapping, whole } from './values.ts';

/** Which part of what lies at a dataset's place is read, and how. */
export interface ReadingFlags {
  format?: ExampleFormat;
  split?: string;
  config?: string;
  sheet?: string;
  mapping?: Record<string, string>;
}

/** Adds the options that say how a dataset is read. */
export const readingOptions = (command: Command): Command =>
  command
    .addOption(
      new Option('--format <name>', 'how rows are read (default: by their columns)').choices([...EXAMPLE_FORMATS]),
    )
    .option('--split <name>', 'of a folder whose files name splits (default: train), such as validation or test')
    .option('--config <name>', 'of a folder whose README.md names configurations (default: its default one)')
    .option('--sheet <name>', 'of an Excel workbook (default: its first sheet with rows)')
    .option('--mapping <field=column>', 'which column serves as a field; can be repeated', mapping);

/** What is said of texts, and of pictures: each for a model of its kind. */
export interface ExampleFlags {
  sequenceLength?: number;
  loss?: 'answer' | 'all';
  resolution?: number;
  trigger?: string;
}

/** Adds the options that say what of a dataset's rows a model is measured on. */
export const exampleOptions = (command: Command): Command =>
  command
    .option('--sequence-length <tokens>', "longest example; the model's context at most (default: 2048)", whole(2))
    .addOption(new Option('--loss <on>', "which tokens carry loss (default: the answer's)").choices(['answer', 'all']))
    .option(
      '--resolution <pixels>',
      "of a model that makes pictures (default: the adapter's, else the model's own)",
      whole(16),
    )
    .option('--trigger <word>', "put before captions, of a model that makes pictures (default: the adapter's)");

/** @throws UserError for what is said of pictures where a model writes */
export function wishOf(
  { sequenceLength, loss, resolution, trigger }: ExampleFlags,
  makes: 'texts' | 'pictures',
): ReadingWish {
  if (makes === 'texts' && (resolution !== undefined || trigger !== undefined))
    throw new UserError('--resolution and --trigger are for models that make pictures; leave them out');
  const own = Object.fromEntries(Object.entries({ resolution, trigger }).filter(([, value]) => value !== undefined));
  return { sequenceLength, loss, pictures: own };
}

export const sourceOf = (path: string, flags: ReadingFlags): DatasetSource => {
  const { format, mapping: columns, split, config, sheet } = flags;
  return { path, format, mapping: columns, split, config, sheet };
};
