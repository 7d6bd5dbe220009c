import { createRequire } from 'node:module';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';

// tfjs-core's build for Node carries no gradient functions, and its dist/ is not loadable as modules there; the tfjs package,
// on which tfjs-node-gpu depends, registers them on the one tfjs-core in use.
createRequire(import.meta.url)('@tensorflow/tfjs');

type Gradients = Record<string, () => Tensor>;

/** An operation on tfjs's tape (tfjs-core 4.22, tape.ts). A pass backward calls `gradient` on a copy with the inputs that it needs. */
interface TapeNode {
  inputs: Record<string, Tensor>;
  saved?: Tensor[];
  gradient?(this: TapeNode, dys: (Tensor | null)[]): Gradients;
}

/** Of tfjs's engine, what is changed here. */
interface Tape {
  state: { activeTape: TapeNode[]; gradientDepth: number };
  addTapeNode(...args: unknown[]): void;
  gradients(f: () => Tensor, xs: Tensor[], dy?: Tensor | null, allowNoGradients?: boolean): { grads: Tensor[] };
}

/** tfjs keeps every intermediate's gradient, and all that was saved for it, until a pass backward ends. This frees them once used. */
function freeGradientsEarly(tape: Tape): void {
  const { addTapeNode, gradients } = tape;
  tape.addTapeNode = (...args) => {
    addTapeNode.apply(tape, args);
    const node = tape.state.activeTape.at(-1)!;
    if (node.gradient && tf.getBackend() !== 'tensorflow') node.gradient = freeing(tape, node); // that one records and compiles
  };
  tape.gradients = (f, xs, dy, allowNoGradients) => {
    const own = dy && tf.clone(dy); // the caller's stays
    const result = gradients.call(tape, f, xs, own, allowNoGradients);
    own?.dispose();
    return result;
  };
}

/** The node's gradients, which free what they are made of when the last of them has been asked for. */
function freeing(tape: Tape, { gradient, saved = [] }: TapeNode): TapeNode['gradient'] {
  return function (dys) {
    const used = new Set([...dys, ...saved].filter((tensor) => tensor !== null));
    const given = new Set<Tensor>(used);
    let left = Object.keys(this.inputs).length;
    const once = (make: () => Tensor) => () => {
      const made = make();
      const dx = given.has(made) ? tf.clone(made) : made; // each input's gradient is freed on its own
      given.add(made);
      if (--left === 0 && tape.state.gradientDepth === 0) tf.dispose([...used]);
      return dx;
    };
    return Object.fromEntries(Object.entries(gradient!.call(this, dys)).map(([name, make]) => [name, once(make)]));
  };
}

freeGradientsEarly(tf.engine() as unknown as Tape);

/**
 * tfjs's gradients of sums and means multiply by ones of the size of what was summed, which a compiled step would hold on its device from
 * then on, for each norm of each layer: these repeat what they are given.
 */
function repeatInGradients(kernelName: 'Sum' | 'Mean'): void {
  tf.registerGradient({
    kernelName,
    inputsToSave: ['x'],
    gradFunc: (dy, [x], attributes) => {
      const { shape } = x!;
      const axes = tf.util.parseAxisParam(attributes['axis'] as number[], shape);
      const times = shape.map((size, i) => (axes.includes(i) ? size : 1));
      const own = shape.map((size, i) => (axes.includes(i) ? 1 : size));
      const each = kernelName === 'Mean' ? 1 / times.reduce((product, size) => product * size, 1) : 1;
      return { x: () => tf.tidy(() => tf.tile(tf.reshape(tf.mul(dy as Tensor, each), own), times)) };
    },
  });
}

repeatInGradients('Sum');
repeatInGradients('Mean');
