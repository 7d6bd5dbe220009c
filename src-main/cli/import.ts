import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import { UserError } from '../engine/types.ts';
import { modelOfAdapter } from '../exports/read-any.ts';
import { AdapterLibrary } from '../studio/adapters/library.ts';
import { openLibrary } from '../studio/database/open.ts';
import { dataFolder } from '../studio/folders.ts';
import { RunStore } from '../studio/runs/store.ts';
import { Worker } from '../studio/work/worker.ts';
import { command, modelOption } from './command.ts';
import { printJson, size } from './output.ts';

interface ImportFlags {
  model?: string;
  data: string;
  json?: boolean;
}

/** `effilora import`: an adapter from elsewhere into the library. */
export function importCommand(program: Command): void {
  command(program, 'import <adapter>', 'take an adapter into the library', [
    'import friend.effilora',
    'import peft-folder --model smollm2-135m',
    'import lora.gguf --model base-model.gguf',
  ])
    .addOption(modelOption())
    .option('--data <folder>', 'where the library lies', dataFolder())
    .addHelpText(
      'after',
      '\nRead are .effilora files, adapter folders, LoRA folders of PEFT and mlx-lm, and GGUF LoRA files.',
    )
    .action(runImport);
}

async function runImport(place: string, { model: given, data, json }: ImportFlags): Promise<void> {
  const source = path.resolve(place);
  const model = given ?? (await modelOfAdapter(source));
  if (model === undefined)
    throw new UserError(
      `${path.basename(source)} doesn't say which model it was made for; name its base model with --model`,
    );
  const folder = path.join(path.resolve(data), 'adapters');
  mkdirSync(folder, { recursive: true });
  const library = openLibrary(path.join(path.resolve(data), 'library.db'));
  const worker = new Worker();
  try {
    const adapters = new AdapterLibrary(library, new RunStore(library), worker, folder);
    const entry = await adapters.import(source, model);
    if (json) printJson(entry);
    else console.log(`${entry.name} is in the library: ${entry.method} on ${entry.model}, ${size(entry.bytes)}`);
  } finally {
    worker.close();
    library.close();
  }
}
