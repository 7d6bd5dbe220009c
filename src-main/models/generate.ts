import { setImmediate } from 'node:timers/promises';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { frozenProduct } from '../engine/frozen.ts';
import { rmsNorm } from '../engine/fused.ts';
import { randomStream } from '../engine/random.ts';
import { UserError } from '../engine/types.ts';
import { block, type RopeTables } from './block.ts';
import type { CausalLM } from './causal-lm.ts';
import { CompiledDecoder } from './compiled-decoder.ts';
import { CompiledForward } from './compiled-forward.ts';
import type { Decoder } from './decoder.ts';
import { KeyValueCache } from './key-value-cache.ts';
import { ropeTables } from './rope.ts';
import { likeliest, sample, type SamplingOptions, type TokenProbability } from './sampling.ts';
import type { Adaptation } from './types.ts';

export interface GenerateOptions extends Partial<SamplingOptions> {
  /** tokens to generate at most; the model's context ends it, too */
  maxTokens: number;
  /** of the random numbers; default 0 */
  seed?: number;
  adaptation?: Adaptation;
  /** token ids that end the text, given out as the last one; default: the model's end-of-sequence tokens */
  stop?: readonly number[];
  /** how many of the likeliest tokens to give with each; default 0 */
  alternatives?: number;
}

export interface GeneratedToken extends TokenProbability {
  /** the likeliest tokens in its place, likeliest first */
  top: TokenProbability[];
}

/** The prompt runs through the model this many tokens at a time, so that its scores stay small. */
const PREFILL_TOKENS = 256;

/**
 * Continues a prompt token by token, keeping keys and values in a cache. Leaving the loop frees everything; other events
 * run between tokens. Default: the likeliest token (temperature 0).
 * @throws UserError for a prompt that is empty or fills the model's context
 */
export async function* generate(
  model: CausalLM,
  promptIds: ArrayLike<number>,
  { maxTokens, seed = 0, adaptation, stop = model.config.eosTokenIds, alternatives = 0, ...sampling }: GenerateOptions,
): AsyncGenerator<GeneratedToken> {
  const { contextLength } = model.config;
  if (promptIds.length === 0) throw new UserError('The prompt has no tokens; write something to continue');
  if (promptIds.length >= contextLength)
    throw new UserError(
      `The prompt has ${promptIds.length} tokens, the model's context holds ${contextLength}; shorten it`,
    );
  // A default holds for an option that is there and undefined, too.
  const { temperature = 0, topP = 1, topK = 0 } = sampling;
  const options = { temperature, topP, topK };
  const random = randomStream(seed, 'generate');
  const decoder = openDecoder(model, adaptation);
  try {
    let next = Int32Array.from(promptIds);
    const most = Math.min(maxTokens, contextLength - promptIds.length);
    for (let count = 0; count < most; count++) {
      const logits = await decoder.next(next);
      const token = sample(logits, options, random);
      yield { ...token, top: likeliest(logits, alternatives) };
      if (stop.includes(token.id)) return;
      next = Int32Array.of(token.id);
      await setImmediate();
    }
  } finally {
    decoder.dispose();
  }
}

/** Compiled where the engine can do that, else with a cache of tensors. */
function openDecoder(model: CausalLM, adaptation: Adaptation | undefined): Decoder {
  const forward = CompiledForward.of(model.weights, adaptation);
  if (forward) return new CompiledDecoder(model, forward, adaptation);
  const cache = new KeyValueCache(model.config);
  return { next: (ids) => nextLogits(model, cache, ids, adaptation), dispose: () => cache.dispose() };
}

/** Takes tokens into the cache and returns the logits [vocabulary] of the one after them. */
export async function nextLogits(
  model: CausalLM,
  cache: KeyValueCache,
  ids: Int32Array,
  adaptation?: Adaptation,
): Promise<Float32Array> {
  for (let start = 0; start + PREFILL_TOKENS < ids.length; start += PREFILL_TOKENS) {
    hiddenOf(model, cache, ids.subarray(start, start + PREFILL_TOKENS), adaptation).dispose();
    await setImmediate();
  }
  const rest = ids.subarray(Math.floor((ids.length - 1) / PREFILL_TOKENS) * PREFILL_TOKENS);
  const logits = tf.tidy(() => {
    const x = hiddenOf(model, cache, rest, adaptation);
    const last = tf.slice(x, [rest.length - 1, 0], [1, -1]);
    return frozenProduct(rmsNorm(last, model.weights.norm, model.config.normEpsilon), model.weights.head);
  });
  const values = (await logits.data()) as Float32Array;
  logits.dispose();
  return values;
}

/** The last block's output for tokens that follow those in the cache, which takes them in. [tokens, hidden] */
function hiddenOf(model: CausalLM, cache: KeyValueCache, ids: Int32Array, adaptation?: Adaptation): Tensor2D {
  const { config, weights } = model;
  const out = tf.tidy(() => {
    const positions = ids.map((_, i) => cache.length + i);
    const rope = tablesOf(model, positions, false);
    const localRope = config.rope.localTheta === undefined ? rope : tablesOf(model, positions, true);
    return weights.layers.reduce(
      (x, layerWeights, layer) =>
        block(x, {
          config,
          weights: layerWeights,
          layer,
          rope: config.slidingWindow[layer] === undefined ? rope : localRope,
          attend: (q, k, v) => cache.attend(layer, q, k, v),
          adaptation,
          parameters: adaptation?.parameters(layer) ?? {},
        }),
      model.embed(tf.tensor1d(ids, 'int32')),
    );
  });
  cache.length += ids.length;
  return out;
}

function tablesOf({ config }: CausalLM, positions: Int32Array, local: boolean): RopeTables {
  const { cos, sin } = ropeTables(config, { positions }, local);
  const shape: [number, number] = [positions.length, config.headSize / 2];
  return { cos: tf.tensor2d(cos, shape), sin: tf.tensor2d(sin, shape) };
}
