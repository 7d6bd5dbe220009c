import fs from 'node:fs';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { packedKernels } from '../../src-main/engine/frozen.ts';
import { type FrozenMatrix, PackedMatrix } from '../../src-main/engine/packed.ts';
import { CausalLM } from '../../src-main/models/causal-lm.ts';
import { DECODER_SITES, type ModelConfig } from '../../src-main/models/types.ts';
import { type LayerWeights, siteWidths } from '../../src-main/models/weights.ts';
import { temporary } from '../trainer/support.ts';

export interface ModelShape {
  layers: number;
  hidden: number;
  inner: number;
  heads: number;
  keyValueHeads: number;
  vocabulary: number;
  /** how matrices are held: as tensors, or in GGUF's Q4_0 */
  weights: 'f32' | 'q4_0';
}

/** GGML's number of Q4_0, and its blocks. */
const Q4_0 = { number: 2, numbers: 32, bytes: 18 };

/** A llama of a shape, whose numbers are noise. */
export async function shapedModel(shape: ModelShape): Promise<CausalLM> {
  const config = configOf(shape);
  const largest = Math.max(shape.vocabulary, shape.inner) * Math.max(shape.hidden, shape.inner);
  const file = shape.weights === 'q4_0' ? blocksFile((largest / Q4_0.numbers) * Q4_0.bytes) : '';
  let seed = 0;
  const matrix = async (rows: number, width: number): Promise<FrozenMatrix> => {
    if (shape.weights === 'f32')
      return tf.keep(tf.randomNormal([rows, width], 0, width ** -0.5, 'float32', ++seed)) as Tensor2D;
    const source = { path: file, offset: 0, format: Q4_0.number, rows, width };
    return PackedMatrix.load(packedKernels()!, source, Q4_0.number);
  };
  const norm = () => tf.keep(tf.ones([shape.hidden])) as Tensor1D;
  const widths = siteWidths(config);
  const layers: LayerWeights[] = [];
  for (let layer = 0; layer < shape.layers; layer++) {
    const linears = {} as LayerWeights['linears'];
    for (const site of DECODER_SITES)
      linears[site] = { weight: await matrix(widths[site].outFeatures, widths[site].inFeatures) };
    layers.push({ linears, inputNorm: norm(), postAttentionNorm: norm() });
  }
  const embedding = await matrix(shape.vocabulary, shape.hidden);
  return new CausalLM(config, { embedding, head: embedding, layers, norm: norm() });
}

function configOf({ layers, hidden, inner, heads, keyValueHeads, vocabulary }: ModelShape): ModelConfig {
  return {
    ...{ architecture: 'llama', layers, hiddenSize: hidden, intermediateSize: inner, attentionHeads: heads },
    ...{ keyValueHeads, headSize: hidden / heads, vocabularySize: vocabulary, contextLength: 4096 },
    ...{ normEpsilon: 1e-5, rope: { theta: 1e4 }, tiedEmbeddings: true, activation: 'silu', attentionBias: 'none' },
    ...{ mlpBias: false, queryKeyNorm: false, attentionScale: (hidden / heads) ** -0.5, gemmaNorms: false },
    ...{ slidingWindow: Array.from({ length: layers }, () => undefined), eosTokenIds: [] },
  };
}

/** Blocks of Q4_0: a scale of 2^-7 or its double, then nibbles. */
function blocksFile(bytes: number): string {
  const file = path.join(temporary('blocks'), 'blocks.bin');
  const piece = new Uint8Array(Q4_0.bytes * 4096);
  for (let i = 0; i < piece.length; i++) piece[i] = (i * 2654435761) >>> 24;
  for (let block = 0; block < 4096; block++) piece.set([0, 0x20 + 4 * (block % 2)], block * Q4_0.bytes);
  const open = fs.openSync(file, 'w');
  for (let at = 0; at < bytes; at += piece.length) fs.writeSync(open, piece);
  fs.closeSync(open);
  return file;
}
