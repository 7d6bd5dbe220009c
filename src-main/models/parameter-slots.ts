import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { ResidentTensors } from '../engine/tensorflow/resident-tensors.ts';
import type { Adaptation, LayerParameters } from './types.ts';

/** The tensors an adaptation uses, each once, in the order in which layers name them. */
export function tensorsOf(adaptation: Adaptation, layers: number): Tensor[] {
  const found = new Set<Tensor>();
  for (let layer = 0; layer < layers; layer++)
    for (const tensor of Object.values(adaptation.parameters(layer))) found.add(tensor);
  return [...found];
}

/**
 * Places in a compiled graph for the tensors of adaptations of one structure. Whichever is to be used writes its numbers into them,
 * all in one run. Dispose it.
 */
export class ParameterSlots {
  readonly variables: tf.Variable[];
  private readonly byLayer: LayerParameters[];
  private holder?: WeakRef<Adaptation>;
  /** the engine's ids of what the slots hold */
  private ids: number[] = [];

  constructor(
    private readonly residents: ResidentTensors,
    adaptation: Adaptation,
    private readonly layers: number,
  ) {
    const tensors = tensorsOf(adaptation, layers);
    this.variables = tensors.map(({ shape }) => tf.tidy(() => tf.variable(tf.zeros(shape), false)));
    const slots = new Map(tensors.map((tensor, i) => [tensor, this.variables[i]!]));
    this.byLayer = Array.from(
      { length: layers },
      (_, layer) =>
        Object.fromEntries(
          Object.entries(adaptation.parameters(layer)).map(([name, tensor]) => [name, slots.get(tensor)!]),
        ) as LayerParameters,
    );
  }

  /** The adaptation with the slots in place of its tensors. */
  asAdaptation(adaptation: Adaptation): Adaptation {
    return {
      structure: adaptation.structure,
      parameters: (layer) => this.byLayer[layer]!,
      apply: (...args) => adaptation.apply(...args),
    };
  }

  /** Writes an adaptation's numbers into the slots, unless they are there. `fresh`: they may have changed since. */
  async take(adaptation: Adaptation, fresh: boolean): Promise<void> {
    const same = this.holder?.deref() === adaptation;
    if (same && !fresh) return;
    const tensors = tensorsOf(adaptation, this.layers);
    const ids = tensors.map((tensor) => this.residents.idOf(tensor));
    // a tensor outside a session never changes; what a session holds may have been trained on
    const unchanged = same && ids.every((id, i) => id === this.ids[i] && !this.residents.residentOf(id));
    if (unchanged) return;
    await this.residents.write(
      this.variables,
      tensors.map((tensor) => tensor.dataSync() as Float32Array),
    );
    this.holder = new WeakRef(adaptation);
    this.ids = ids;
  }

  dispose(): void {
    tf.dispose(this.variables);
  }
}
