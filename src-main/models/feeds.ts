import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import { standInFor, VARYING } from '../engine/varying-size.ts';
import type { RopeTables } from './block.ts';
import { ropeTables } from './rope.ts';
import type { ModelConfig, TokenBatch } from './types.ts';

/** What a graph is fed, by name: numbers on the host and their shape, in which the size that varies between runs is open. */
export type Feeds = Record<string, { values: Float32Array | Int32Array; shape: number[] }>;

/** Tells graphs apart: one serves all feeds of a key. */
export const feedsKey = (kind: string, feeds: Feeds): string =>
  [kind, ...Object.entries(feeds).map(([name, { shape }]) => `${name}:${shape.join('x')}`)].join(' ');

/**
 * Examples of feeds to compile a step with. Where a size is open, `standIn` stands for it: of about this run's size, and unlike every
 * other size of the step, which reads the model's `matrices` and `state`.
 */
export function exampleTensors(
  feeds: Feeds,
  matrices: { shape: number[] }[],
  state: Tensor[],
): { examples: Record<string, Tensor>; standIn?: number } {
  const open = Object.values(feeds).find(({ shape }) => shape.join() === String(VARYING));
  const sizes = [...matrices, ...state, ...Object.values(feeds)].flatMap(({ shape }) => shape);
  const standIn = open && standInFor(open.values.length, sizes);
  const examples = Object.fromEntries(
    Object.entries(feeds).map(([name, { values, shape }]) => {
      const closed = shape.map((size) => (size === VARYING ? standIn! : size));
      return [name, tf.zeros(closed, values instanceof Int32Array ? 'int32' : 'float32')];
    }),
  );
  return { examples, standIn };
}

/** A batch's tokens, segments and RoPE as feeds; `isOpen`: another number of them at every run. */
export function tokenFeeds(config: ModelConfig, batch: TokenBatch, isOpen: boolean): Feeds {
  const { inputIds, segments, reach } = batch;
  const tokens = isOpen ? VARYING : inputIds.length;
  return {
    ids: { values: inputIds, shape: [tokens] },
    segments: { values: segments, shape: [tokens] },
    ...(reach && { reach: { values: reach, shape: [tokens] } }),
    ...ropeFeeds(config, batch, tokens),
  };
}

/** RoPE's tables of these positions as feeds, `tokens` of them, or an open number. */
export function ropeFeeds(
  config: ModelConfig,
  at: Pick<TokenBatch, 'positions' | 'axes'>,
  tokens = at.positions.length,
): Feeds {
  const shape = [tokens, config.headSize / 2];
  const tables = (local: boolean) => ropeTables(config, at, local);
  const { cos, sin } = tables(false);
  const feeds: Feeds = { cos: { values: cos, shape }, sin: { values: sin, shape } };
  if (config.rope.localTheta === undefined) return feeds;
  const local = tables(true);
  return { ...feeds, localCos: { values: local.cos, shape }, localSin: { values: local.sin, shape } };
}

/** The tables again, as tensors of a pass. */
export function ropeInputs(inputs: Record<string, Tensor>): { rope: RopeTables; localRope?: RopeTables } {
  const tables = (cos: string, sin: string) => ({ cos: inputs[cos] as Tensor2D, sin: inputs[sin] as Tensor2D });
  return { rope: tables('cos', 'sin'), localRope: inputs.localCos && tables('localCos', 'localSin') };
}

/** Feeds as tensors, for who computes with them at once; the caller disposes them. */
export function asTensors(feeds: Feeds): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, { values, shape }]) => [
      name,
      tf.tensor(values, shape, values instanceof Int32Array ? 'int32' : 'float32'),
    ]),
  );
}
