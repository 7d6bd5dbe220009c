// Opens a dataset in a process of its own (--expose-gc), reads all of its examples, and prints their digest and what is held then, bytes.
import { openDataset } from '../../../src-main/data/dataset.ts';
import { byteOptions } from './byte-tokenizer.ts';
import { digestOf } from './questions.ts';

async function open(): Promise<void> {
  const { examples, close } = await openDataset({ path: process.argv[2]! }, 0, {
    ...byteOptions(),
    sequenceLength: 512,
  });
  const digest = digestOf(examples);
  // What the first one lets go of (buffers) is counted until the next.
  for (let i = 0; i < 2; i++) {
    global.gc?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external } = process.memoryUsage();
  close();
  process.stdout.write(JSON.stringify({ digest, heldBytes: heapUsed + external }));
}
void open();
