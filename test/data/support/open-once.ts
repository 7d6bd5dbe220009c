// Opens a dataset in a process of its own, reads all of its examples, and prints their digest and the peak of resident memory, bytes.
import { openDataset } from '../../../src-main/data/dataset.ts';
import { byteOptions } from './byte-tokenizer.ts';
import { digestOf } from './questions.ts';

async function open(): Promise<void> {
  const { examples, close } = await openDataset({ path: process.argv[2]! }, 0, {
    ...byteOptions(),
    sequenceLength: 512,
  });
  const digest = digestOf(examples);
  close();
  process.stdout.write(JSON.stringify({ digest, peakBytes: 1024 * process.resourceUsage().maxRSS }));
}
void open();
