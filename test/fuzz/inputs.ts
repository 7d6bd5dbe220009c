import fs from 'node:fs';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { UserError } from '../../src-main/engine/types.ts';
import type { ModelConfig } from '../../src-main/models/types.ts';
import { mutatedBytes, mutatedJson } from './mutate.ts';
import { Random } from './random.ts';
import { TARGETS } from './targets.ts';

/** CPU time that an input may take, in times of what the yardstick takes in the same process: 2.6 s where that is 0.13 s. */
const MOST_YARDS = 20;
export const MOST_BYTES = 256 * 2 ** 20;

/** CPU seconds since then. */
function secondsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** CPU seconds that a fixed piece of work takes here, which needs no memory: the quickest of three. */
function yardstick(): number {
  const times = [1, 2, 3].map((seed) => {
    const before = process.cpuUsage();
    for (let k = 0; k < 1e8; k++) seed = (Math.imul(seed, 31) + k) | 0;
    return secondsSince(before) + (seed === 0 ? 1e-9 : 0);
  });
  return Math.min(...times);
}
let yard: number | undefined;

/** Not changed: pictures and cards that no reader opens. */
const CHANGED = /\.(json|jsonl|safetensors|gguf|jinja|yaml|csv|parquet|xlsx|effilora)$/;

/** Writes the input of a target and a seed into `folder`; returns what is to be opened. */
export function writeInput(seeds: string, target: string, seed: number, folder: string): string {
  const random = new Random(Math.imul(seed, 2654435761) ^ hash(target));
  const source = path.join(seeds, target);
  const names = fs.readdirSync(source).filter((name) => CHANGED.test(name) && !name.startsWith('expected'));
  fs.rmSync(folder, { recursive: true, force: true });
  fs.cpSync(source, folder, { recursive: true });
  for (let files = 1 + random.below(Math.min(2, names.length)); files > 0; files--) {
    const file = path.join(folder, random.pick(names));
    fs.writeFileSync(file, changed(fs.readFileSync(file), file, random));
  }
  const { file } = TARGETS[target]!;
  return file ? path.join(folder, file) : folder;
}

function changed(bytes: Buffer, file: string, random: Random): Uint8Array | string {
  if (file.endsWith('.json') && random.below(4)) {
    try {
      return mutatedJson(bytes.toString(), random);
    } catch {
      return mutatedBytes(bytes, random); // changed before, and no JSON any more
    }
  }
  if (file.endsWith('.safetensors') && random.below(2)) return withHeader(bytes, random);
  return mutatedBytes(bytes, random);
}

/** A safetensors file whose header is changed as JSON and still has its right length. */
function withHeader(bytes: Buffer, random: Random): Uint8Array {
  // Changed before, it may be shorter than a header's length.
  const end = bytes.length < 8 ? Infinity : 8 + Number(bytes.readBigUInt64LE(0));
  if (end > bytes.length) return mutatedBytes(bytes, random);
  let text: string;
  try {
    text = mutatedJson(bytes.subarray(8, end).toString(), random);
  } catch {
    return mutatedBytes(bytes, random);
  }
  const header = Buffer.from(text);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([size, header, bytes.subarray(end)]);
}

const hash = (text: string) => [...text].reduce((sum, letter) => Math.imul(sum, 31) + letter.charCodeAt(0), 7);

/** Opens an input. Returns what is wrong with how that went; undefined: it opened, or was refused as it should be. */
export async function tryInput(target: string, place: string, config: ModelConfig): Promise<string | undefined> {
  yard ??= yardstick();
  const cpu = process.cpuUsage();
  const peak = process.resourceUsage().maxRSS * 1024;
  let wrong: string | undefined;
  const lost = (error: unknown) => (wrong ??= `an error that nobody caught: ${String(error)}`);
  process.on('unhandledRejection', lost);
  try {
    await TARGETS[target]!.open(place, config);
  } catch (error) {
    if (!(error instanceof UserError)) wrong = `no UserError: ${(error as Error).stack ?? String(error)}`;
    else if (error.message.length > 2000) wrong = `a message of ${error.message.length} letters`;
  }
  await setTimeout(1); // what is still under way may fail
  process.off('unhandledRejection', lost);
  const seconds = secondsSince(cpu);
  const grown = process.resourceUsage().maxRSS * 1024 - peak;
  if (seconds > MOST_YARDS * yard)
    wrong ??= `${seconds.toFixed(1)} s, ${(seconds / yard).toFixed(0)} times the yardstick`;
  if (grown > MOST_BYTES) wrong ??= `${(grown / 2 ** 20).toFixed(0)} MiB`;
  return wrong;
}
