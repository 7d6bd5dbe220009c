import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { Adapter } from '../../../src-main/effilora/adapter.ts';
import type { AdapterOptions, SiteShape } from '../../../src-main/effilora/types.ts';
import type { DiffusionPass } from '../../../src-main/models/diffusion/site.ts';
import type { readAll } from '../vision/support.ts';

/** A case's tensors, by the names that its script gave them. */
export type Expected = Awaited<ReturnType<typeof readAll>>;

/** What takes noise out of pictures, whatever it is told beside them. */
interface Network {
  sites(): SiteShape[];
  predict(sample: Tensor4D, inputs: never, pass?: DiffusionPass): Tensor4D;
}

export const predict = (model: Network, inputs: Record<string, Tensor>, pass?: DiffusionPass): Tensor4D =>
  model.predict(inputs['sample'] as Tensor4D, inputs as never, pass);

/** The gradients of sum(out * direction), to what is fed and to `by`. */
export function gradients(
  model: Network,
  inputs: Record<string, Tensor>,
  by: Tensor[],
  pass?: DiffusionPass,
): Tensor[] {
  const { sample, context, direction } = inputs;
  return tf.tidy(() =>
    tf.grads((x, text) => tf.sum(tf.mul(predict(model, { ...inputs, sample: x!, context: text! }, pass), direction!)))([
      sample!,
      context!,
      ...by,
    ]),
  );
}

/** The case's adapter, and the tensors that it learns with their names in the case. */
export function adapterOf(
  model: Network,
  options: AdapterOptions,
  expected: Expected,
): { adapter: Adapter; learned: string[] } {
  const adapter = new Adapter(model.sites(), options, 1);
  adapter.import(
    adapter.trainables.map(({ name, shape }) => ({ name, shape, data: expected.get(`adapter:${name}`)!.values })),
  );
  return { adapter, learned: adapter.trainables.map(({ name }) => name) };
}

/** B as the file has it: it lies [heads * rank, out] in memory. */
export const inFileForm = (name: string, gradient: Tensor, { heads }: Pick<AdapterOptions, 'heads'>): Tensor =>
  name.endsWith('.B') ? tf.transpose(tf.reshape(gradient, [heads, -1, gradient.shape[1]!]), [0, 2, 1]) : gradient;
