import { Option, type Command } from 'commander';
import type { DatasetFacts } from '../data/dataset.ts';
import { droppedLines, dropsMany } from '../data/dropped.ts';
import { heldOutSplitOf } from '../data/held-out.ts';
import { openTextModel, resolveModel } from '../models/open.ts';
import { UserError } from '../engine/types.ts';
import { readingOptions as forModel } from '../data/reading-options.ts';
import { taskOf } from '../tasks/registry.ts';
import { command, modelOption } from './command.ts';
import { EXIT } from './exit.ts';
import { note, printJson } from './output.ts';
import { readingOptions, sourceOf, type ReadingFlags } from './reading.ts';
import { whole } from './values.ts';

interface DataFlags extends ReadingFlags {
  model: string;
  sequenceLength?: number;
  loss: 'answer' | 'all';
  json?: boolean;
}

/** `effilora data`: what becomes of a dataset's rows. */
export function dataCommand(program: Command): void {
  const data = command(
    program,
    'data',
    'report what a model makes of a dataset: rows kept and dropped, lengths, loss tokens',
    [
      'data train.jsonl --model smollm2-135m',
      'data questions.csv --model smollm2-135m --mapping instruction=question --mapping output=reply',
    ],
  )
    .argument('<dataset>', 'JSON, JSONL, CSV, TSV, Parquet, Excel or text, or a folder of one of them')
    .addOption(modelOption().makeOptionMandatory())
    .option('--sequence-length <tokens>', "longest example; the model's context at most (default: 2048)", whole(2))
    .addOption(new Option('--loss <on>', 'which tokens carry loss').choices(['answer', 'all']).default('answer'));
  readingOptions(data).action(reportOn);
}

async function reportOn(path: string, flags: DataFlags): Promise<void> {
  const file = await openTextModel(await resolveModel(flags.model, note), note);
  try {
    const { source, ...dataset } = await taskOf(file).measure(sourceOf(path, flags), file, forModel(file, flags));
    const { report, ...facts } = dataset;
    const heldOut = heldOutSplitOf(source, dataset, 1);
    if (flags.json) return printJson({ dataset: path, ...facts, heldOut, ...report });
    print(dataset, heldOut);
  } catch (error) {
    if (!flags.json || !(error instanceof UserError)) throw error;
    refuse(path, error);
  } finally {
    await file.close();
  }
}

/** A dataset that is refused has the fields of one that is not, with nothing in it. */
function refuse(dataset: string, { message: error }: UserError): void {
  const nothing = { examples: 0, kept: 0, parts: 0, truncated: 0, dropped: [], tokens: 0, lossTokens: 0, lossShare: 0 };
  printJson({ dataset, error, exitCode: EXIT.userError, ...nothing });
  console.error(error);
  process.exitCode = EXIT.userError;
}

function print({ format, mapping, notes, report, ...place }: Omit<DatasetFacts, 'source'>, heldOut?: string): void {
  const { p5, p50, p95, p99, max, mean } = report.tokenLength;
  const fields = Object.entries(mapping).map(([field, column]) => (field === column ? field : `${field} = ${column}`));
  console.log(`format         ${format} (${fields.join(', ')})`);
  if (place.sheets) console.log(`sheet          ${place.sheet}, of ${place.sheets.join(', ')}`);
  if (place.configs) console.log(`configuration  ${place.config}, of ${place.configs.join(', ')}`);
  if (place.splits) console.log(`split          ${place.split}, of ${place.splits.join(', ')}`);
  if (heldOut) console.log(`held out       ${heldOut}, where the recipe says nothing else (heldOut)`);
  console.log(`examples       ${report.kept} of ${report.examples} kept, ${report.truncated} cut at the end`);
  console.log(`tokens         ${report.tokens}, ${(100 * report.lossShare).toFixed(1)} % of them carry loss`);
  console.log(
    `token lengths  mean ${mean.toFixed(1)}, 5 % ${p5}, median ${p50}, 95 % ${p95}, 99 % ${p99}, longest ${max}`,
  );
  for (const note of notes) console.log(`note           ${note}`);
  for (const line of droppedLines(report)) console.log(`dropped        ${line}`);
  if (dropsMany(report))
    console.log('               more than 5 % of its rows: to train on the others takes --accept-dropped');
}
