import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { StepCompiler } from '../engine/compiler.ts';
import type { Adaptation, LayerParameters } from './types.ts';

/** A block of a model whose linears may be adapted. */
export interface BlockPlace {
  block: number;
  /** the part of the model that it lies in; undefined: the language model */
  part?: string;
}

/** The tensors an adaptation uses in these blocks, each once, in the order in which blocks name them. */
export function tensorsOf(adaptation: Adaptation, blocks: BlockPlace[]): Tensor[] {
  return [...new Set(blocks.flatMap((place) => Object.values(parametersAt(adaptation, place))))];
}

/** What it has of a block; nothing in a part that it leaves alone. */
const parametersAt = (adaptation: Adaptation, { block, part }: BlockPlace): LayerParameters =>
  part === undefined || adaptation.adapts?.(part) ? adaptation.parameters(block, part) : {};

/**
 * Places in a compiled graph for the tensors of adaptations of one structure. Whichever is to be used writes its numbers into them,
 * all in one run. Dispose it.
 */
export class ParameterSlots {
  readonly variables: tf.Variable[];
  private readonly byBlock: Map<string, LayerParameters>;
  private holder?: WeakRef<Adaptation>;
  /** whose numbers the slots hold, as tfjs tells them apart */
  private dataIds: object[] = [];

  constructor(
    private readonly compiler: StepCompiler,
    adaptation: Adaptation,
    private readonly blocks: BlockPlace[],
  ) {
    const tensors = tensorsOf(adaptation, blocks);
    this.variables = tensors.map(({ shape }) => tf.tidy(() => tf.variable(tf.zeros(shape), false)));
    const slots = new Map(tensors.map((tensor, i) => [tensor, this.variables[i]!]));
    this.byBlock = new Map(
      blocks.map((place) => {
        const own = Object.entries(parametersAt(adaptation, place)).map(([name, tensor]) => [name, slots.get(tensor)!]);
        return [keyOf(place), Object.fromEntries(own) as LayerParameters];
      }),
    );
  }

  /** The adaptation with the slots in place of its tensors. */
  asAdaptation(adaptation: Adaptation): Adaptation {
    return {
      structure: adaptation.structure,
      parameters: (block, part) => this.byBlock.get(keyOf({ block, part }))!,
      adapts: (part) => adaptation.adapts?.(part) ?? false,
      apply: (...args) => adaptation.apply(...args),
    };
  }

  /** Writes an adaptation's numbers into the slots, unless they are there. `fresh`: they may have changed since. */
  async take(adaptation: Adaptation, fresh: boolean): Promise<void> {
    const same = this.holder?.deref() === adaptation;
    if (same && !fresh) return;
    const tensors = tensorsOf(adaptation, this.blocks);
    // a tensor outside compiled steps never changes; what they hold may have been trained on
    const isAsItWas = (tensor: Tensor, i: number) => tensor.dataId === this.dataIds[i] && !this.compiler.holds(tensor);
    if (same && tensors.every(isAsItWas)) return;
    await this.compiler.write(
      this.variables,
      tensors.map((tensor) => tensor.dataSync() as Float32Array),
    );
    this.holder = new WeakRef(adaptation);
    this.dataIds = tensors.map(({ dataId }) => dataId);
  }

  dispose(): void {
    tf.dispose(this.variables);
  }
}

const keyOf = ({ block, part = '' }: BlockPlace) => `${block} ${part}`;
