import path from 'node:path';
import { EXPORT_CHOICES, EXPORT_TARGETS, type ExportTarget } from '../../src-preload/contract/choices.ts';
import { Option, type Command } from 'commander';
import { exportAdapter } from '../exports/export-adapter.ts';
import {
  EXPORT_FORMS,
  type ExportForm,
  type ExportProgress,
  type ExportResult,
  type ExportType,
} from '../exports/request.ts';
import type { EngineName } from '../engine/types.ts';
import { command, engineOption, modelOption } from './command.ts';
import { EXIT } from './exit.ts';
import { duration, note, printJson, size } from './output.ts';
import { number } from './values.ts';

interface ExportFlags {
  to: ExportTarget;
  out?: string;
  model?: string;
  calibrate?: string;
  drop?: number;
  form: ExportForm;
  type?: ExportType;
  engine: EngineName | 'auto';
  json?: boolean;
}

/** `effilora export`: an adapter in another program's form, with what that form keeps of it. */
export function exportCommand(program: Command): void {
  const types = [...new Set(Object.values(EXPORT_CHOICES).flatMap(({ types }): readonly ExportType[] => types))];
  command(
    program,
    'export <adapter>',
    'write an adapter for PEFT, llama.cpp, transformers, diffusers, A1111 and ComfyUI, or as one file to share',
    [
      'export runs/my-run --to peft',
      'export runs/my-run --to gguf --calibrate train.jsonl --out my-lora',
      'export runs/my-run --to merged-gguf --type q8_0',
      'export runs/my-run --to effilora --drop 0.5',
      'export runs/my-style --to kohya',
      'export runs/my-style --to merged-diffusers',
    ],
  )
    .addOption(new Option('--to <target>', 'what to write').choices(EXPORT_TARGETS).makeOptionMandatory())
    .option('--out <folder>', 'a new folder for it (default: <adapter>-<target>)')
    .option('--calibrate <dataset>', "data the plain LoRA is fitted on (default: the adapter's own training data)")
    .option('--drop <share>', 'leave out this share of all heads, the least important first', number(0, 1))
    .addOption(
      new Option('--form <form>', 'rank-nr keeps more in a LoRA of N times the rank')
        .choices(EXPORT_FORMS)
        .default('rank-r'),
    )
    .addOption(new Option('--type <type>', 'number type of the file (default: by target)').choices(types))
    .addOption(modelOption())
    .addOption(engineOption())
    .action(runExport);
}

async function runExport(adapter: string, flags: ExportFlags): Promise<void> {
  const { json, ...request } = flags;
  const plain = path.resolve(adapter).replace(/[\\/]adapter\.safetensors$/, '');
  const out = path.resolve(flags.out ?? `${plain}-${flags.to}`);
  const cancel = new AbortController();
  const onSignal = () => cancel.abort();
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  const show = progressLine();
  try {
    const result = await exportAdapter({ ...request, adapter, out }, show, cancel.signal);
    show(undefined);
    if (json) printJson(result);
    else printResult(result);
  } catch (error) {
    show(undefined);
    if (!cancel.signal.aborted) throw error;
    note('Stopped; nothing was written.');
    process.exitCode = EXIT.interrupted;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

/** Shows where an export is, on a line of its own that changes; in a file only each stage's beginning. */
function progressLine(): (progress: ExportProgress | undefined) => void {
  const terminal = process.stderr.isTTY;
  let stage: string | undefined;
  return (progress) => {
    if (terminal) process.stderr.write('\r\x1b[K');
    if (!progress) return;
    const { done, total, secondsLeft } = progress;
    const left = secondsLeft !== undefined && done < total ? `, ${duration(secondsLeft)} left` : '';
    if (terminal) process.stderr.write(`${progress.stage} ${done}/${total}${left}`);
    else if (progress.stage !== stage) note(progress.stage);
    stage = progress.stage;
  };
}

function printResult({ folder, files, fidelity, warnings }: ExportResult): void {
  for (const warning of warnings) note(`Mind: ${warning}`);
  console.log(folder);
  for (const { name, byteLength } of files) console.log(`  ${name}  ${size(byteLength)}`);
  if (!fidelity) return;
  const { heldOut } = fidelity;
  if (heldOut)
    console.log(
      `held-out loss: base ${heldOut.base.toFixed(4)}, adapter ${heldOut.exact.toFixed(4)}, this export ${heldOut.exported.toFixed(4)}`,
    );
  console.log(fidelity.summary);
}
