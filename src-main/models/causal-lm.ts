import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { frozenProduct, frozenRows, frozenTransposed, packedKernels } from '../engine/frozen.ts';
import { PackedMatrix, type FrozenMatrix } from '../engine/packed.ts';
import { attention } from '../engine/attention.ts';
import { linearCrossEntropy } from '../engine/cross-entropy.ts';
import { rmsNorm } from '../engine/fused.ts';
import { pickRows } from '../engine/pick-rows.ts';
import { repeated } from '../engine/repeated.ts';
import { batchTensors, disposeBatch, shiftedLabels, type BatchTensors, type Seen } from './batch.ts';
import { block } from './block.ts';
import { compiledLogProbabilities } from './compiled-evaluation.ts';
import { CompiledForward } from './compiled-forward.ts';
import { recomputed } from './recompute.ts';
import { withoutBackward } from './without-backward.ts';
import {
  type DECODER_SITES,
  type Adaptation,
  type LayerParameters,
  type ModelConfig,
  type ModelFile,
  type TokenBatch,
} from './types.ts';
import type { HeldFormat } from './weight-format.ts';
import { disposeWeights, loadWeights, matricesOf, modelSites, type ModelWeights } from './weights.ts';

export interface ForwardOptions {
  adaptation?: Adaptation;
  /** keep only the input of every so many blocks for backward (true: of each); false: keep all. Default true */
  recompute?: boolean | number;
  /** so many blocks from the bottom have no backward pass; default 0 */
  withoutBackward?: number;
}

/** Label log-probabilities are read this many tokens at a time. */
const CHUNK_TOKENS = 256;

/** A decoder-only language model with frozen weights on the engine in use. */
export class CausalLM {
  constructor(
    readonly config: ModelConfig,
    readonly weights: ModelWeights,
  ) {}

  get architecture(): string {
    return this.config.architecture;
  }

  get blocks(): number {
    return this.config.layers;
  }

  get matrices(): FrozenMatrix[] {
    return matricesOf(this.weights);
  }

  /** Every linear that can be adapted, by layer and then in the order of docs/method.md, Terms. */
  sites(): ReturnType<typeof modelSites> {
    return modelSites(this.config);
  }

  /** The frozen weight of a site, [in, out]; the caller disposes it. */
  siteWeight({ block, site }: { block: number; site: string }): Tensor2D {
    return frozenTransposed(this.weights.layers[block]!.linears[site as (typeof DECODER_SITES)[number]].weight);
  }

  /** Token embeddings [tokens, hidden]; gemma3 multiplies them by sqrt(hidden). */
  embed(ids: tf.Tensor1D): Tensor2D {
    const x = frozenRows(this.weights.embedding, ids);
    return this.config.gemmaNorms ? tf.mul<Tensor2D>(x, Math.sqrt(this.config.hiddenSize)) : x;
  }

  /** The last block's output [tokens, hidden], before the final norm. */
  hidden(batch: BatchTensors, options: ForwardOptions = {}): Tensor2D {
    const { adaptation, recompute = true, withoutBackward: below = 0 } = options;
    const together = Math.max(1, Number(recompute));
    let x = withSeen(this.embed(batch.ids), batch.seen);
    if (below > 0) x = withoutBackward((input) => this.lowest(below, input, batch, adaptation), x);
    for (let first = below; first < this.config.layers; first += together) {
      const count = Math.min(together, this.config.layers - first);
      const layers = Array.from({ length: count }, (_, i) => first + i);
      const parameters = sharedParameters(layers, adaptation);
      const run = (input: Tensor2D, own: LayerParameters) =>
        layers.reduce((value, layer, i) => this.layer(value, layer, batch, parameters.of(own, i), adaptation), input);
      x = repeated(recompute ? (input, own) => recomputed(run, input, own) : run, x, parameters.all);
    }
    return x;
  }

  /** The first `count` blocks, one after the other. */
  private lowest(count: number, x: Tensor2D, batch: BatchTensors, adaptation?: Adaptation): Tensor2D {
    const run = (layer: number) => (input: Tensor2D, parameters: LayerParameters) =>
      this.layer(input, layer, batch, parameters, adaptation);
    return Array.from({ length: count }).reduce<Tensor2D>(
      (value, _, layer) => repeated(run(layer), value, adaptation?.parameters(layer) ?? {}),
      x,
    );
  }

  private layer(
    x: Tensor2D,
    layer: number,
    batch: BatchTensors,
    parameters: LayerParameters,
    adaptation?: Adaptation,
  ): Tensor2D {
    const { attentionHeads: heads, keyValueHeads, attentionScale: scale } = this.config;
    const window = this.config.slidingWindow[layer];
    const options = { length: batch.length, heads, keyValueHeads, scale, window };
    return block(x, {
      config: this.config,
      weights: this.weights.layers[layer]!,
      layer,
      rope: (window !== undefined && batch.localRope) || batch.rope,
      attend: (q, k, v) => attention(q, k, v, batch.segments, options, batch.reach),
      adaptation,
      parameters,
    });
  }

  /** Final norm of some rows. */
  private normed(x: Tensor2D, rows?: tf.Tensor1D): Tensor2D {
    const chosen = rows ? pickRows(x, rows) : x;
    return rmsNorm(chosen, this.weights.norm, this.config.normEpsilon);
  }

  /** Sum over the batch's labels of -log p(label); differentiable with respect to the adaptation's variables. */
  lossSum(batch: BatchTensors, options: ForwardOptions = {}): tf.Scalar {
    return tf.tidy(() => {
      const x = this.normed(this.hidden(batch, options), batch.labelRows);
      return linearCrossEntropy(x, this.weights.head, true, batch.labels);
    });
  }

  /** Logits [rows, length, vocabulary]: for tests and short texts. */
  logits(batch: TokenBatch, options: ForwardOptions = {}): Tensor3D {
    const tensors = batchTensors(this.config, batch);
    const logits = tf.tidy(
      () => tf.reshape(this.tokenLogits(tensors, options), [batch.rows, batch.length, -1]) as Tensor3D,
    );
    disposeBatch(tensors);
    return logits;
  }

  /** Logits [tokens, vocabulary]. */
  tokenLogits(batch: BatchTensors, options: ForwardOptions = {}): Tensor2D {
    return tf.tidy(() =>
      frozenProduct(this.normed(this.hidden(batch, { recompute: false, ...options })), this.weights.head),
    );
  }

  /** log p of every label, at the label's own place in the batch; 0 where there is none. */
  async labelLogProbabilities(batch: TokenBatch, options: ForwardOptions = {}): Promise<Float32Array> {
    const values =
      (await compiledLogProbabilities(this, batch, options.adaptation)) ?? (await this.eagerly(batch, options));
    const out = new Float32Array(batch.inputIds.length);
    shiftedLabels(batch).forEach(({ row }, i) => (out[row + 1] = values[i]!));
    return out;
  }

  private async eagerly(batch: TokenBatch, options: ForwardOptions): Promise<Float32Array> {
    const tensors = batchTensors(this.config, batch);
    const picked = this.pickedLogProbabilities(tensors, options);
    disposeBatch(tensors);
    const values = (await picked.data()) as Float32Array;
    picked.dispose();
    return values;
  }

  /** log p of the labels of `labelRows`, in their order; anything at padding. */
  pickedLogProbabilities(batch: BatchTensors, options: ForwardOptions): tf.Tensor1D {
    return tf.tidy(() => {
      const x = this.normed(this.hidden(batch, { recompute: false, ...options }), batch.labelRows);
      const { head } = this.weights;
      if (head instanceof PackedMatrix) return packedKernels()!.logProbabilities(x, head, batch.labels);
      const labels = tf.maximum(batch.labels, 0);
      const parts: tf.Tensor1D[] = [];
      for (let start = 0; start < x.shape[0]; start += CHUNK_TOKENS) {
        const count = Math.min(CHUNK_TOKENS, x.shape[0] - start);
        parts.push(this.logProbabilitiesOf(tf.slice(x, [start, 0], [count, -1]), tf.slice(labels, [start], [count])));
      }
      return tf.concat(parts);
    });
  }

  /** The likeliest next token at each of `labelRows`, in their order, [labelled] int32; anything at padding. */
  likeliestTokens(batch: BatchTensors, options: ForwardOptions): tf.Tensor1D {
    return tf.tidy(() => {
      const x = this.normed(this.hidden(batch, { recompute: false, ...options }), batch.labelRows);
      const parts: tf.Tensor1D[] = [];
      for (let start = 0; start < x.shape[0]; start += CHUNK_TOKENS) {
        const rows = tf.slice(x, [start, 0], [Math.min(CHUNK_TOKENS, x.shape[0] - start), -1]);
        parts.push(tf.tidy(() => tf.argMax(frozenProduct(rows, this.weights.head), 1)));
      }
      return tf.concat(parts);
    });
  }

  /** log softmax(x head^T)[label], [tokens] */
  private logProbabilitiesOf(x: Tensor2D, labels: tf.Tensor): tf.Tensor1D {
    return tf.tidy(() => {
      const logits = frozenProduct(x, this.weights.head);
      const rows = tf.range(0, x.shape[0], 1, 'int32');
      const chosen = tf.gatherND(logits, tf.stack([rows, tf.cast(labels, 'int32')], 1));
      return tf.sub(chosen, tf.logSumExp(logits, 1)) as tf.Tensor1D;
    });
  }

  dispose(): void {
    CompiledForward.release(this.weights);
    disposeWeights(this.weights);
  }
}

/** What is seen in the place of the embeddings of its tokens. */
function withSeen(x: Tensor2D, seen: Seen | undefined): Tensor2D {
  if (!seen) return x;
  const { features, places } = seen;
  const isSeen = tf.cast(tf.greaterEqual(tf.expandDims(places, 1), 0), 'float32');
  const rows = pickRows(features, tf.maximum(places, tf.scalar(0, 'int32')));
  return tf.add<Tensor2D>(tf.mul(x, tf.sub(1, isSeen)), tf.mul(rows, isSeen));
}

/** What some blocks in a row use, each tensor once: several blocks may share one. `of(all, i)` gives the i-th block's again. */
function sharedParameters(layers: number[], adaptation?: Adaptation) {
  const keys = new Map<tf.Tensor, string>();
  const keyOf = (value: tf.Tensor) => {
    if (!keys.has(value)) keys.set(value, String(keys.size));
    return keys.get(value)!;
  };
  const names = layers.map((layer) =>
    Object.entries(adaptation?.parameters(layer) ?? {}).map(([name, value]) => [name, keyOf(value)] as const),
  );
  return {
    all: Object.fromEntries([...keys].map(([value, key]) => [key, value])) as LayerParameters,
    of: (all: LayerParameters, i: number): LayerParameters =>
      Object.fromEntries(names[i]!.map(([name, key]) => [name, all[key]!])),
  };
}

/** Loads a model's weights onto the engine in use. @throws UserError when the file lacks a tensor */
export async function loadCausalLM(file: ModelFile, format: HeldFormat = 'auto'): Promise<CausalLM> {
  return new CausalLM(file.config, await loadWeights(file, format));
}
