import type { Command } from 'commander';
import type { DatasetFacts } from '../data/dataset.ts';
import { droppedLines, dropsMany } from '../data/dropped.ts';
import { heldOutSplitOf } from '../data/held-out.ts';
import { openModelFile, resolveModel } from '../models/open.ts';
import { UserError } from '../engine/types.ts';
import { taskOf } from '../tasks/registry.ts';
import { command, modelOption } from './command.ts';
import { EXIT } from './exit.ts';
import { note, printJson } from './output.ts';
import { exampleOptions, readingOptions, sourceOf, wishOf, type ExampleFlags, type ReadingFlags } from './reading.ts';

interface DataFlags extends ReadingFlags, ExampleFlags {
  model: string;
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
    .addOption(modelOption().makeOptionMandatory());
  readingOptions(exampleOptions(data)).action(reportOn);
}

async function reportOn(path: string, flags: DataFlags): Promise<void> {
  const file = await openModelFile(await resolveModel(flags.model, note), note);
  try {
    const task = taskOf(file);
    const reading = task.reading(file, wishOf(flags, file.makes));
    const { source, ...dataset } = await task.measure(sourceOf(path, flags), file, reading);
    const { report, ...facts } = dataset;
    const heldOut = heldOutSplitOf(source, dataset, 1);
    // Nothing of a picture is counted in tokens.
    const { tokenLength, tokens, lossTokens, lossShare, ...counts } = report;
    const told = facts.buckets ? counts : { ...counts, tokenLength, tokens, lossTokens, lossShare };
    if (flags.json) return printJson({ dataset: path, ...facts, heldOut, ...told });
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
  const fields = Object.entries(mapping).map(([field, column]) => (field === column ? field : `${field} = ${column}`));
  console.log(`format         ${format} (${fields.join(', ')})`);
  if (place.sheets) console.log(`sheet          ${place.sheet}, of ${place.sheets.join(', ')}`);
  if (place.configs) console.log(`configuration  ${place.config}, of ${place.configs.join(', ')}`);
  if (place.splits) console.log(`split          ${place.split}, of ${place.splits.join(', ')}`);
  if (heldOut) console.log(`held out       ${heldOut}, where the recipe says nothing else (heldOut)`);
  if (place.buckets) printBuckets(report, place.buckets);
  else printLengths(report);
  for (const note of notes) console.log(`note           ${note}`);
  for (const line of droppedLines(report)) console.log(`dropped        ${line}`);
  if (dropsMany(report))
    console.log('               more than 5 % of its rows: to train on the others takes --accept-dropped');
}

function printBuckets({ kept, examples }: DatasetFacts['report'], buckets: NonNullable<DatasetFacts['buckets']>): void {
  console.log(`pictures       ${kept} of ${examples} kept`);
  for (const { width, height, pictures } of buckets) console.log(`learned at     ${width} x ${height}: ${pictures}`);
}

function printLengths(report: DatasetFacts['report']): void {
  const { p5, p50, p95, p99, max, mean } = report.tokenLength;
  console.log(`examples       ${report.kept} of ${report.examples} kept, ${report.truncated} cut at the end`);
  console.log(`tokens         ${report.tokens}, ${(100 * report.lossShare).toFixed(1)} % of them carry loss`);
  console.log(
    `token lengths  mean ${mean.toFixed(1)}, 5 % ${p5}, median ${p50}, 95 % ${p95}, 99 % ${p99}, longest ${max}`,
  );
}
