import type { MatrixSource } from '../packed.ts';

/** What our addon (addon/*.cc, over libtensorflow's C API) offers. Node numbers count from 0 in order of creation. */
export interface Addon {
  createGraph(): GraphHandle;
  addNode(
    graph: GraphHandle,
    operation: string,
    name: string,
    attributes: Attribute[],
    inputs: number[],
    controls: number[],
    listLengths: number[],
  ): AddedNode;
  /** tells TensorFlow a shape that it cannot infer */
  setShape(graph: GraphHandle, node: number, output: number, shape: number[]): void;
  addFunction(target: GraphHandle, body: GraphHandle, name: string, inputs: number[], outputs: number[]): void;
  openSession(graph: GraphHandle, configuration: Uint8Array): void;
  /** copies values out of JavaScript's memory; the run that is fed with them takes them over */
  stage(dtype: number, shape: number[], data: ArrayBufferView): StagedTensor;
  run(graph: GraphHandle, feeds: AnyFeed[], fetches: number[], targets: number[]): Promise<HostTensor[]>;
  runSync(graph: GraphHandle, feeds: AnyFeed[], fetches: number[], targets: number[]): HostTensor[];
  /** runs once and gives the serialised RunMetadata with every operation's times */
  profile(graph: GraphHandle, feeds: AnyFeed[], fetches: number[], targets: number[]): ArrayBuffer;
  /** reads a matrix into our own memory (addon/residents.h) and gives its number */
  loadMatrix(source: MatrixSource, format: number): Promise<number>;
  /** the number of an empty cache of keys and values */
  openSequence(layers: number): number;
  /** frees a matrix or a sequence */
  release(number: number): void;
  trim(): void;
  setThreads(count: number): void;
}

declare const handle: unique symbol;
export interface GraphHandle {
  readonly [handle]: 'graph';
}

export interface StagedTensor {
  readonly [handle]: 'tensor';
}

export interface AddedNode {
  node: number;
  /** no shape: not known to TensorFlow */
  outputs: { dtype: number; shape?: number[] }[];
}

export type AttributeValue =
  string | number | boolean | number[] | { dtype: number; shape: number[]; data: Uint8Array };

/** As tfjs's binding writes them: `type` is TF_AttrType. */
export interface Attribute {
  name: string;
  type: number;
  value: AttributeValue;
}

export interface Feed {
  node: number;
  output: number;
  dtype: number;
  shape: number[];
  data: ArrayBufferView;
}

export type AnyFeed = Feed | { node: number; output: number; staged: StagedTensor };

export interface HostTensor {
  dtype: number;
  shape: number[];
  data: ArrayBuffer;
}

/** TF_DataType */
export const DataType = {
  float: 1,
  int32: 3,
  uint8: 4,
  int8: 6,
  bool: 10,
  bfloat16: 14,
  half: 19,
  resource: 20,
} as const;

/** TF_AttrType */
export const AttributeType = { string: 0, int: 1, float: 2, bool: 3, type: 4, shape: 5, tensor: 6, func: 8 } as const;

export const attribute = {
  type: (name: string, value: number): Attribute => ({ name, type: AttributeType.type, value }),
  int: (name: string, value: number): Attribute => ({ name, type: AttributeType.int, value }),
  float: (name: string, value: number): Attribute => ({ name, type: AttributeType.float, value }),
  bool: (name: string, value: boolean): Attribute => ({ name, type: AttributeType.bool, value }),
  string: (name: string, value: string): Attribute => ({ name, type: AttributeType.string, value }),
  shape: (name: string, value: number[]): Attribute => ({ name, type: AttributeType.shape, value }),
  tensor: (name: string, dtype: number, shape: number[], data: Uint8Array): Attribute => ({
    name,
    type: AttributeType.tensor,
    value: { dtype, shape, data },
  }),
};
