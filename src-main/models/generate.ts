import { setImmediate } from 'node:timers/promises';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { frozenProduct, packedKernels } from '../engine/frozen.ts';
import { rmsNorm } from '../engine/fused.ts';
import { withProducts } from '../engine/products.ts';
import { randomStream } from '../engine/random.ts';
import { UserError } from '../engine/types.ts';
import { block, type RopeTables } from './block.ts';
import type { CausalLM } from './causal-lm.ts';
import { CompiledDecoder } from './compiled-decoder.ts';
import { CompiledForward } from './compiled-forward.ts';
import type { DecodedWith, Decoder } from './decoder.ts';
import { KeyValueCache } from './key-value-cache.ts';
import { ropeTables } from './rope.ts';
import { likeliest, sample, type SamplingOptions, type TokenProbability } from './sampling.ts';
import { seenRows, withRows, type SeenPrompt } from './seen-prompt.ts';
import type { TokenBatch } from './types.ts';

export interface GenerateOptions extends Partial<SamplingOptions>, DecodedWith {
  /** tokens to generate at most; the model's context ends it, too */
  maxTokens: number;
  /** of the random numbers; default 0 */
  seed?: number;
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
 * @throws UserError for a prompt that is empty or fills the model's context, and for integers on an engine without such products
 */
export async function* generate(
  model: CausalLM,
  promptIds: ArrayLike<number>,
  {
    maxTokens,
    seed = 0,
    adaptation,
    stop = model.config.eosTokenIds,
    alternatives = 0,
    seen,
    products = 'f32',
    ...sampling
  }: GenerateOptions,
): AsyncGenerator<GeneratedToken> {
  const { contextLength } = model.config;
  if (promptIds.length === 0) throw new UserError('The prompt has no tokens; write something to continue');
  if (promptIds.length >= contextLength)
    throw new UserError(
      `The prompt has ${promptIds.length} tokens, the model's context holds ${contextLength}; shorten it`,
    );
  if (products === 'int8' && !packedKernels())
    throw new UserError(
      'Answers in int8 need products in integers, which TensorFlow and WebGPU have, and the engine in use has not; take f32',
    );
  // A default holds for an option that is there and undefined, too.
  const { temperature = 0, topP = 1, topK = 0 } = sampling;
  const options = { temperature, topP, topK };
  const random = randomStream(seed, 'generate');
  const most = Math.min(maxTokens, contextLength - promptIds.length);
  const decoder = openDecoder(model, promptIds.length + most, { adaptation, seen, products });
  try {
    let next = Int32Array.from(promptIds);
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
function openDecoder(model: CausalLM, tokens: number, how: DecodedWith): Decoder {
  const { adaptation, seen } = how;
  // What sees ahead, or lies in a picture's rows and columns, no graph of ours takes.
  const forward = seen?.reach || seen?.axes ? undefined : CompiledForward.of(model.weights, adaptation);
  if (forward) return new CompiledDecoder(model, forward, tokens, how);
  const cache = new KeyValueCache(model.config);
  return { next: (ids) => nextLogits(model, cache, ids, how), dispose: () => cache.dispose() };
}

/** Takes tokens into the cache and returns the logits [vocabulary] of the one after them. */
export async function nextLogits(
  model: CausalLM,
  cache: KeyValueCache,
  ids: Int32Array,
  how: DecodedWith = {},
): Promise<Float32Array> {
  const { seen, products = 'f32' } = how;
  // A token that sees ahead has to have all that it sees beside it.
  const piece = seen?.reach ? Math.max(ids.length, 1) : PREFILL_TOKENS;
  const hidden = (part: Int32Array) => withProducts(products, () => hiddenOf(model, cache, part, how));
  for (let start = 0; start + piece < ids.length; start += piece) {
    hidden(ids.subarray(start, start + piece)).dispose();
    await setImmediate();
  }
  const rest = ids.subarray(Math.floor((ids.length - 1) / piece) * piece);
  const { norm, head } = model.weights;
  const logits = tf.tidy(() => {
    const last = tf.slice(hidden(rest), [rest.length - 1, 0], [1, -1]);
    return withProducts(products, () => frozenProduct(rmsNorm(last, norm, model.config.normEpsilon), head));
  });
  const values = (await logits.data()) as Float32Array;
  logits.dispose();
  return values;
}

/** The last block's output for tokens that follow those in the cache, which takes them in. [tokens, hidden] */
function hiddenOf(model: CausalLM, cache: KeyValueCache, ids: Int32Array, { adaptation, seen }: DecodedWith): Tensor2D {
  const { config, weights } = model;
  const out = tf.tidy(() => {
    const at = placesOf(cache.length, ids.length, seen);
    const rope = tablesOf(model, at, false);
    const localRope = config.rope.localTheta === undefined ? rope : tablesOf(model, at, true);
    const reach = seen?.reach?.subarray(cache.length, cache.length + ids.length);
    return weights.layers.reduce(
      (x, layerWeights, layer) =>
        block(x, {
          config,
          weights: layerWeights,
          layer,
          rope: config.slidingWindow[layer] === undefined ? rope : localRope,
          attend: (q, k, v) => cache.attend(layer, q, k, v, reach),
          adaptation,
          parameters: adaptation?.parameters(layer) ?? {},
        }),
      embedded(model, cache.length, ids, seen),
    );
  });
  cache.length += ids.length;
  return out;
}

function embedded(model: CausalLM, from: number, ids: Int32Array, seen: SeenPrompt | undefined): Tensor2D {
  const x = model.embed(tf.tensor1d(ids, 'int32'));
  const { hiddenSize } = model.config;
  const found = seen && seenRows(seen, from, ids.length, hiddenSize);
  if (!found) return x;
  return withRows(x, tf.tensor2d(found.rows, [ids.length, hiddenSize]), tf.tensor2d(found.isSeen, [ids.length, 1]));
}

/** Positions of the tokens from `from` on: those of the prompt may have axes, and what follows counts on from the largest. */
function placesOf(from: number, count: number, seen: SeenPrompt | undefined): Pick<TokenBatch, 'positions' | 'axes'> {
  const positions = Int32Array.from({ length: count }, (_, i) => from + i);
  if (!seen?.axes) return { positions };
  const { axes } = seen;
  const prompt = axes.length / 3;
  const behind = axes.reduce((most, at) => Math.max(most, at), -1) + 1 - prompt;
  const axis = (which: number) =>
    positions.map((token) => (token < prompt ? axes[which * prompt + token]! : token + behind));
  return { positions, axes: Int32Array.from([0, 1, 2].flatMap((which) => [...axis(which)])) };
}

function tablesOf({ config }: CausalLM, at: Pick<TokenBatch, 'positions' | 'axes'>, local: boolean): RopeTables {
  const { cos, sin } = ropeTables(config, at, local);
  const shape: [number, number] = [at.positions.length, config.headSize / 2];
  return { cos: tf.tensor2d(cos, shape), sin: tf.tensor2d(sin, shape) };
}
