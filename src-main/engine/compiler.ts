import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Variable } from '@tensorflow/tfjs-core';

/** Of the large products of a step. */
export type Precision = 'f32' | 'bf16';

/** A step as a pure function: what it is fed, what it keeps, what it gives. */
export interface StepDefinition {
  /** examples of what is fed at every run: their shapes and types count, not their values */
  feeds: Tensor[];
  /** variables that live in the engine between runs; the step reads them like any tensor */
  state: Variable[];
  /** the step on the feeds and the state; `updates` are the new values of `state`, in its order (undefined: unchanged) */
  step: () => { outputs: Tensor[]; updates: (Tensor | undefined)[] };
  precision: Precision;
  /** a size of the feeds' examples that is another at every run: one that `standInFor` gave, multiples of it vary with it */
  standIn?: number;
  /** whose tensors the step reads, such as a model's weights: steps of one owner read them where they are. Default: nobody else's */
  owner?: object;
}

/** A step inside the engine. */
export interface CompiledStep {
  /**
   * One run. `values`: one array for every feed, of its size. The state's variables have their new values afterwards.
   * @returns the outputs' numbers
   * @throws DeviceError where the memory does not hold it
   */
  run(values: (Float32Array | Int32Array)[]): Promise<Float32Array[]>;
}

/** The step did something that a graph cannot: the caller falls back to eager execution. */
export class NotRecordable extends Error {
  override name = 'NotRecordable';
}

/** What an engine offers that runs whole steps as one call. A tensor that a step reads moves in, where eager code still finds it. */
export interface StepCompiler {
  /**
   * Records the step without executing it.
   * @throws NotRecordable where the step reads a value or a size depends on one
   */
  compile(step: StepDefinition): Promise<CompiledStep>;
  /** whether a tensor lives among an owner's steps; without an owner: among any */
  holds(tensor: Tensor, owner?: object): boolean;
  /** new values for variables, wherever they live, in few runs */
  write(variables: Variable[], values: (Float32Array | Int32Array)[]): Promise<void>;
  /** gives what is free of the process's memory back to the system */
  trim(): void;
}

const registry = new Map<string, StepCompiler>();

/** An engine's compiler under its tfjs backend's name. */
export function registerStepCompiler(backendName: string, compiler: StepCompiler): void {
  registry.set(backendName, compiler);
}

/** The step compiler, where the engine in use has one. */
export function stepCompiler(): StepCompiler | undefined {
  return registry.get(tf.getBackend());
}
