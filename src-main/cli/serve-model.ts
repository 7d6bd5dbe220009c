import fs from 'node:fs';
import fsp from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { InvalidArgumentError, type Command } from 'commander';
import type { WrittenIn } from '../engine/products.ts';
import { UserError, type EngineName } from '../engine/types.ts';
import { readAnyAdapter } from '../exports/read-any.ts';
import { openTextModel, resolveModel } from '../models/open.ts';
import type { ModelConfig } from '../models/types.ts';
import { dataFolder } from '../studio/folders.ts';
import { keptSecret } from '../studio/kept-secret.ts';
import { API_KEY_FILE } from '../studio/serving/served-adapters.ts';
import { serveModel } from '../studio/serving/server.ts';
import { warmUp } from '../studio/serving/warm-up.ts';
import { Stage } from '../studio/stage/stage.ts';
import { writeStoredAdapter } from '../trainer/adapter-folder.ts';
import { command, engineOption, modelOption, precisionOption } from './command.ts';
import { note, printJson } from './output.ts';
import { whole } from './values.ts';

interface ServeFlags {
  model: string;
  adapter: Map<string, string>;
  host: string;
  port: number;
  precision: WrittenIn;
  engine: EngineName | 'auto';
  json?: boolean;
}

/** `effilora serve-model`: a model and adapters on it for programs that speak OpenAI's API. */
export function serveModelCommand(program: Command): void {
  command(program, 'serve-model', 'answer programs that speak the OpenAI API, with a model and adapters on it', [
    'serve-model --model smollm2-135m',
    'serve-model --model smollm2-135m --adapter tuned=runs/my-run --adapter other=peft-folder',
    'serve-model --model base.gguf --host 0.0.0.0 --port 8000',
  ])
    .addOption(modelOption().makeOptionMandatory())
    .option('--adapter <name=path>', 'an adapter, called by that name; can be repeated', named, new Map())
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <number>', 'port; 0 takes a free one', whole(0, 65_535), 8080)
    .addOption(precisionOption())
    .addOption(engineOption())
    .action(serve);
}

function named(text: string, before: Map<string, string>): Map<string, string> {
  const [name, ...rest] = text.split('=');
  if (!name || rest.length === 0) throw new InvalidArgumentError('give name=path, e.g. tuned=runs/my-run');
  return new Map([...before, [name, rest.join('=')]]);
}

async function serve({ model, adapter, host, port, precision: products, engine, json }: ServeFlags): Promise<void> {
  const place = await resolveModel(model, note);
  const file = await openTextModel(place, note);
  const { config, name } = file;
  await file.close();
  const temporary = await fsp.mkdtemp(path.join(os.tmpdir(), 'effilora-serve-'));
  const stage = new Stage();
  const closeAll = async () => {
    stage.close();
    await fsp.rm(temporary, { recursive: true, force: true });
  };
  try {
    if (adapter.has(name)) throw new UserError(`The base model is called ${name} already; call the adapter otherwise`);
    const adapters = new Map<string, string>();
    for (const [own, at] of adapter)
      adapters.set(own, await adapterFolder(at, config, path.join(temporary, `${adapters.size}`)));
    const on = { model: place, engine, products };
    for (const folder of [undefined, ...adapters.values()]) await warmUp(stage, on, folder, note);
    const key = await keptSecret(dataFolder(), API_KEY_FILE);
    const server = await serveModel({ stage, on, baseName: name, adapters, key, host, port });
    const models = [name, ...adapters.keys()];
    if (json) printJson({ url: server.url, token: key, models });
    else console.log(`Serving ${models.join(', ')} at ${server.url}\nAPI key: ${key}`);
    await new Promise((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve));
    await server.close();
  } finally {
    await closeAll();
  }
}

/** The folder of an adapter in the studio's form; one of another form is written there first. */
async function adapterFolder(place: string, config: ModelConfig, into: string): Promise<string> {
  const folder = path.resolve(place);
  if (fs.existsSync(path.join(folder, 'adapter.safetensors'))) return folder;
  await writeStoredAdapter(into, await readAnyAdapter(folder, config));
  return into;
}
