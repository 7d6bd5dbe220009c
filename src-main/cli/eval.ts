import type { Command } from 'commander';
import type { EngineName } from '../engine/types.ts';
import { measure, type Measurement } from '../trainer/measure.ts';
import { openForMeasuring } from '../trainer/opened-model.ts';
import { adapterOption, command, engineOption, modelOption } from './command.ts';
import { note, printJson } from './output.ts';
import { exampleOptions, readingOptions, sourceOf, wishOf, type ExampleFlags, type ReadingFlags } from './reading.ts';

interface EvalFlags extends ReadingFlags, ExampleFlags {
  model: string;
  adapter?: string;
  dataset: string;
  engine: EngineName | 'auto';
  json?: boolean;
}

/** `effilora eval`: loss, perplexity and accuracy of a model, with an adapter or without. */
export function evalCommand(program: Command): void {
  const evaluation = command(
    program,
    'eval',
    'measure the loss, and where examples have a right answer the accuracy, on a dataset',
    [
      'eval --model smollm2-135m --dataset held-out.jsonl',
      'eval --model smollm2-135m --adapter runs/my-run --dataset held-out.jsonl --json',
      'eval --model smollm2-135m --adapter runs/my-run --dataset data-folder --split test',
      'eval --model stable-diffusion --adapter runs/my-style --dataset pictures',
    ],
  )
    .addOption(modelOption().makeOptionMandatory())
    .addOption(adapterOption())
    .requiredOption('--dataset <file>', 'JSON, JSONL, CSV, TSV, Parquet, Excel or text, or a folder of one of them')
    .addOption(engineOption());
  readingOptions(exampleOptions(evaluation)).action(evaluate);
}

async function evaluate(flags: EvalFlags): Promise<void> {
  const opened = await openForMeasuring(flags, note);
  try {
    const started = performance.now();
    const { dataset: path } = flags;
    const { report, ...result } = await measure(opened, sourceOf(path, flags), wishOf(flags, opened.file.makes));
    const seconds = (performance.now() - started) / 1000;
    const dropped = report.dropped.reduce((sum, { rows }) => sum + rows.length, 0);
    if (flags.json) {
      const { model, adapter, dataset } = flags;
      return printJson({ ...result, dropped, truncated: report.truncated, seconds, model, adapter, dataset });
    }
    const of =
      result.tokens === undefined
        ? 'mean squared error of the prediction, over all parts of the noise'
        : `mean over ${result.tokens} label tokens`;
    console.log(`loss        ${result.loss.toFixed(4)}  (${of})`);
    if (result.perplexity !== undefined) console.log(`perplexity  ${result.perplexity.toFixed(3)}`);
    if (result.accuracy !== undefined)
      console.log(`accuracy    ${(100 * result.accuracy).toFixed(1)} %  (${basis(result.accuracyBy!)})`);
    console.log(`examples    ${result.examples}${dropped ? `, ${dropped} dropped (see effilora data)` : ''}`);
  } finally {
    await opened.close();
  }
}

/** What the accuracy is of, in words. */
function basis({ options, agreement, exact }: NonNullable<Measurement['accuracyBy']>): string {
  const parts = [
    [options, 'examples with options'],
    [agreement, 'by agreement with several people’s answers'],
    [exact, 'to the letter'],
  ] as const;
  return parts.flatMap(([count, what]) => (count > 0 ? [`${count} ${what}`] : [])).join(', ');
}
