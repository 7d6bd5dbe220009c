import type { TensorSpec } from './methods/tensors.ts';

/**
 * B lies as [N, out, r] in files (B[j] is a PEFT lora_B weight) and as [N * r, out] in memory, where the sum over heads is one
 * product, concat_j(omega_j h) [tokens, N * r] times B, and its gradients need no transposed copy.
 */
export function memoryLayoutOfB(file: Float32Array, heads: number, out: number, rank: number): Float32Array {
  return transposeBlocks(file, heads, out, rank);
}

/** The other way: [N * r, out] to [N, out, r]. */
export function fileLayoutOfB(memory: Float32Array, heads: number, out: number, rank: number): Float32Array {
  return transposeBlocks(memory, heads, rank, out);
}

function transposeBlocks(source: Float32Array, blocks: number, rows: number, columns: number): Float32Array {
  const result = new Float32Array(source.length);
  for (let block = 0; block < blocks; block++) {
    const start = block * rows * columns;
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) result[start + j * rows + i] = source[start + i * columns + j]!;
    }
  }
  return result;
}

type Spec = Pick<TensorSpec, 'role' | 'shape'>;

/** A tensor's numbers as they lie in memory, from its file's. */
export const inMemory = ({ role, shape }: Spec, file: Float32Array): Float32Array =>
  role === 'B' ? memoryLayoutOfB(file, shape[0]!, shape[1]!, shape[2]!) : file;

/** The other way. */
export const inFile = ({ role, shape }: Spec, memory: Float32Array): Float32Array =>
  role === 'B' ? fileLayoutOfB(memory, shape[0]!, shape[1]!, shape[2]!) : memory;
