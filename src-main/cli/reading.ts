import { Option, type Command } from 'commander';
import type { DatasetSource } from '../data/dataset.ts';
import { EXAMPLE_FORMATS, type ExampleFormat } from '../data/types.ts';
import { mapping } from './values.ts';

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

export const sourceOf = (path: string, flags: ReadingFlags): DatasetSource => {
  const { format, mapping: columns, split, config, sheet } = flags;
  return { path, format, mapping: columns, split, config, sheet };
};
