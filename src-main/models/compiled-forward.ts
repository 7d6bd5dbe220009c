import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { NotRecordable, stepCompiler, type CompiledStep, type StepCompiler } from '../engine/compiler.ts';
import { packedKernels } from '../engine/frozen.ts';
import { asTensors, exampleTensors, feedsKey, type Feeds } from './feeds.ts';
import { type BlockPlace, ParameterSlots, tensorsOf } from './parameter-slots.ts';
import type { Adaptation } from './types.ts';
import { matricesOf, type ModelWeights } from './weights.ts';

/** A pass through the model on the feeds, as it is recorded. */
export type Pass = (inputs: Record<string, Tensor>, adaptation: Adaptation | undefined) => Tensor;

/** What passes of one kind keep on the engine from one to the next, freed with what they go through. */
export interface Kept {
  /** unlike any other's */
  name: string;
  variables: tf.Variable[];
  /** their new values, once a pass is recorded */
  updates(): Tensor[];
  dispose(): void;
}

/** What passes go through: a model, or a part of one that is loaded on its own. */
export interface Passable {
  /** what it is frozen in, one object for as long as it is loaded */
  weights: object;
  /** where it may be adapted */
  places: BlockPlace[];
  /** its large matrices */
  matrices: { shape: number[] }[];
}

type Graphs = Map<string, Promise<CompiledStep>>;

const forwards = new WeakMap<object, CompiledForward>();

/**
 * A model's passes without gradients inside the engine: one graph for every kind of pass, its shapes and the adaptation's structure.
 * Adaptations of one structure share the graph: their numbers are written into its slots, which takes no compiling. One that is
 * trained beside these weights is read where training keeps it, by graphs of its own: a copy would be as large as the adaptation.
 */
export class CompiledForward {
  private readonly graphs: Graphs = new Map();
  private readonly slots = new Map<string, ParameterSlots>();
  /** of adaptations that live beside the weights */
  private readonly graphsInPlace = new WeakMap<Adaptation, Graphs>();
  /** of sequences that have ended, for those to come */
  readonly idle: Kept[] = [];
  /** runs follow each other: slots must not change under one */
  private last: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly compiler: StepCompiler,
    private readonly model: Passable,
  ) {}

  /** Of a language model, as `through` has it. */
  static of(weights: ModelWeights, adaptation: Adaptation | undefined): CompiledForward | undefined {
    const places = weights.layers.map((_, block) => ({ block }));
    return CompiledForward.through({ weights, places, matrices: matricesOf(weights) }, adaptation);
  }

  /** Undefined where the engine can't compile it, or where the adaptation does more than its tensors tell. */
  static through(model: Passable, adaptation: Adaptation | undefined): CompiledForward | undefined {
    const compiler = stepCompiler();
    if (!compiler || !packedKernels() || (adaptation && adaptation.structure === undefined)) return undefined;
    let forward = forwards.get(model.weights);
    if (!forward) {
      forward = new CompiledForward(compiler, model);
      forwards.set(model.weights, forward);
    }
    return forward;
  }

  /** Frees what passes of this model have kept. */
  static release(weights: object): void {
    const forward = forwards.get(weights);
    for (const slots of forward?.slots.values() ?? []) slots.dispose();
    for (const kept of forward?.idle ?? []) kept.dispose();
    forwards.delete(weights);
  }

  /**
   * One pass; its graph is compiled at the first sight of these shapes. `fresh`: the adaptation's numbers may have changed since
   * they were used last.
   * @returns the pass's numbers
   * @throws NotRecordable where a part of it can't be compiled
   */
  run(
    kind: string,
    feeds: Feeds,
    adaptation: Adaptation | undefined,
    pass: Pass,
    fresh: boolean,
    kept?: Kept,
  ): Promise<Float32Array> {
    const turn = this.last.then(async () => {
      const graph = await (adaptation && this.lives(adaptation)
        ? this.graphInPlace(kind, feeds, adaptation, pass, kept)
        : this.sharedGraph(kind, feeds, adaptation, pass, fresh, kept));
      const [values] = await graph.run(Object.values(feeds).map(({ values: fed }) => fed));
      return values!;
    });
    this.last = turn.catch(() => undefined);
    return turn;
  }

  /** Whether all of an adaptation's tensors live beside these weights, as those in training do. */
  private lives(adaptation: Adaptation): boolean {
    const { weights, places } = this.model;
    return tensorsOf(adaptation, places).every(
      (tensor) => tensor instanceof tf.Variable && this.compiler.holds(tensor, weights),
    );
  }

  private graphInPlace(
    kind: string,
    feeds: Feeds,
    adaptation: Adaptation,
    pass: Pass,
    kept?: Kept,
  ): Promise<CompiledStep> {
    const graphs = this.graphsInPlace.get(adaptation) ?? (new Map() as Graphs);
    this.graphsInPlace.set(adaptation, graphs);
    const state = tensorsOf(adaptation, this.model.places) as tf.Variable[];
    return graphOf(graphs, keyOf(kind, feeds, adaptation, kept), () =>
      this.compile(feeds, adaptation, state, pass, kept),
    );
  }

  private async sharedGraph(
    kind: string,
    feeds: Feeds,
    adaptation: Adaptation | undefined,
    pass: Pass,
    fresh: boolean,
    kept?: Kept,
  ): Promise<CompiledStep> {
    const slots = adaptation && this.slotsOf(adaptation);
    if (adaptation && slots) await slots.take(adaptation, fresh);
    return graphOf(this.graphs, keyOf(kind, feeds, adaptation, kept), () =>
      this.compile(feeds, adaptation && slots?.asAdaptation(adaptation), slots?.variables ?? [], pass, kept),
    );
  }

  private slotsOf(adaptation: Adaptation): ParameterSlots {
    const key = adaptation.structure!;
    let slots = this.slots.get(key);
    if (!slots) {
      slots = new ParameterSlots(this.compiler, adaptation, this.model.places);
      this.slots.set(key, slots);
    }
    return slots;
  }

  private async compile(
    feeds: Feeds,
    adaptation: Adaptation | undefined,
    parameters: tf.Variable[],
    pass: Pass,
    kept?: Kept,
  ): Promise<CompiledStep> {
    const state = [...parameters, ...(kept?.variables ?? [])];
    const { examples, standIn } = exampleTensors(feeds, this.model.matrices, state);
    try {
      return await this.compiler.compile({
        owner: this.model.weights,
        feeds: Object.values(examples),
        state,
        precision: 'f32',
        standIn,
        step: () => ({
          outputs: [pass(examples, adaptation)],
          updates: [...parameters.map(() => undefined), ...(kept?.updates() ?? [])],
        }),
      });
    } finally {
      tf.dispose(examples);
    }
  }
}

/** A pass inside the engine where it can be compiled, else by eager code; as `CompiledForward.run` has it. */
export async function passThrough(
  model: Passable,
  ...[kind, feeds, adaptation, pass, fresh]: Parameters<CompiledForward['run']>
): Promise<Float32Array> {
  try {
    const compiled = CompiledForward.through(model, adaptation);
    if (compiled) return await compiled.run(kind, feeds, adaptation, pass, fresh);
  } catch (error) {
    if (!(error instanceof NotRecordable)) throw error;
  }
  return passEagerly(feeds, adaptation, pass);
}

/** The same by eager code: nothing stays on the engine. */
export async function passEagerly(feeds: Feeds, adaptation: Adaptation | undefined, pass: Pass): Promise<Float32Array> {
  const made = tf.tidy(() => pass(asTensors(feeds), adaptation));
  const values = (await made.data()) as Float32Array;
  made.dispose();
  return values;
}

const keyOf = (kind: string, feeds: Feeds, adaptation: Adaptation | undefined, kept: Kept | undefined) =>
  [feedsKey(kind, feeds), adaptation?.structure, kept?.name].join(' ');

function graphOf(graphs: Graphs, key: string, compile: () => Promise<CompiledStep>): Promise<CompiledStep> {
  const graph = graphs.get(key) ?? compile();
  graphs.set(key, graph);
  return graph;
}
