import crypto from 'node:crypto';
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import type { Launch } from './child.ts';
import { askProcess } from './devices/ask-process.ts';
import { cpuName } from './devices/portable.ts';
import { tryingHere } from './devices/status.ts';
import { entryOf } from './entry.ts';
import { KeptFiles, keptFolder } from './kept-files.ts';
import type { Products } from './products.ts';
import { TENSORFLOW_VERSION } from './tensorflow/install.ts';
import type { EngineStatus } from './types.ts';

/** Seconds of one product with a frozen matrix and of its gradient together, as SmolLM2-135M has them, with 512 tokens. */
export const productSeconds = z.strictObject({ f32: z.number().positive(), int8: z.number().positive() });
export type ProductSeconds = z.infer<typeof productSeconds>;

/** Products are a part of a step: from so many times the speed on, a step is worth the rounding. */
const WORTH = 1.5;
/** Measuring takes two or three seconds; a machine that needs more than this is too busy to tell. */
const LIMIT_MS = 60_000;

const files = () => new KeptFiles(keptFolder('products'), '.json');
/** What the speed depends on: the processor, how many threads, and the instructions that may be used. */
const nameOfMachine = () =>
  crypto
    .createHash('sha256')
    .update(JSON.stringify([cpuName(), availableParallelism(), TENSORFLOW_VERSION, process.env.EFFILORA_INSTRUCTIONS]))
    .digest('hex');

/** What products of a step are quickest in, and how many times as fast as in f32. */
export interface Quickest {
  products: Products;
  times: number;
}

/** What follows from what was measured. */
export function quickestOf({ f32, int8 }: ProductSeconds): Quickest {
  const times = f32 / int8;
  return times >= WORTH ? { products: 'int8', times } : { products: 'f32', times: 1 };
}

/**
 * What products of a step are quickest in on this machine: measured once, in a process of its own, and kept until the processor or the
 * engine changes. Measured is TensorFlow on a processor alone; f32 elsewhere, and where it can't be measured.
 * @param launch how a process is started; undefined: none can be from here, and what was not measured counts as f32
 */
export async function quickestProducts(
  { name, kind }: Pick<EngineStatus, 'name' | 'kind'>,
  launch: Launch | undefined = tryingHere().launch,
  limitMs = LIMIT_MS,
): Promise<Quickest> {
  const none: Quickest = { products: 'f32', times: 1 };
  if (name !== 'tensorflow' || kind !== 'cpu') return none;
  const kept = await files().read(nameOfMachine());
  if (kept) return quickestOf(productSeconds.parse(JSON.parse(Buffer.from(kept).toString())));
  const seconds = launch && (await measured(launch, limitMs));
  if (!seconds) return none;
  await files().write(nameOfMachine(), Buffer.from(JSON.stringify(seconds)));
  return quickestOf(seconds);
}

/** Undefined where it ends, or is not done in time. */
async function measured(launch: Launch, limitMs: number): Promise<ProductSeconds | undefined> {
  const entry = entryOf(import.meta.url, './quickest-process.ts', './quickest.js');
  let found: ProductSeconds | undefined;
  const asking = { engine: 'tensorflow', entry, asked: {}, launch, limitMs, when: 'when products were timed' } as const;
  await askProcess(asking, (message) => {
    found = productSeconds.safeParse(message).data;
    return true;
  });
  return found;
}
