import type { ModelEntry } from '../../../src-preload/contract/index.ts';

/** Beside what grows with the model: adapter, and the engine itself, bytes. */
const BESIDE_WEIGHTS_BYTES = 1.2e9;
/** Activations of a short batch and the largest matrix unpacked, bytes a parameter: of 7 billion in Q4_0 a step peaks at 5.9 GiB (docs/generation.md). */
const ACTIVATIONS_BYTES_A_PARAMETER = 0.17;
/** Up to these shares of the machine's memory. */
const FITS = 0.7;
const TIGHT = 1;

/** What training a model takes of memory, before it is opened: frozen weights stay as its file has them. @param bytes of its file */
export const trainingBytes = (parameters: number, bytes: number): number =>
  bytes + ACTIVATIONS_BYTES_A_PARAMETER * parameters + BESIDE_WEIGHTS_BYTES;

/** Whether that is there. */
export function fitsIn(needsBytes: number, memoryBytes: number): ModelEntry['fits'] {
  const share = needsBytes / memoryBytes;
  return share < FITS ? 'yes' : share < TIGHT ? 'tight' : 'no';
}
