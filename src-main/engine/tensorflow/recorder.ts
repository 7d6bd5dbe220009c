import type { Addon, Attribute, GraphHandle } from './addon.ts';
import { attribute, DataType } from './addon.ts';
import { NotRecordable } from '../compiler.ts';
import { VARYING } from '../varying-size.ts';
import { FIXED_SIZES, OPEN_SIZES } from './sizes-of-operations.ts';

/** An output of a recorded node. */
export interface Ref {
  node: RecordedNode;
  output: number;
}

/** One TensorFlow operation as it would have been executed. `source` marks what comes from outside the record. */
export interface RecordedNode {
  operation: string;
  attributes: Attribute[];
  inputs: Ref[];
  outputs: { dtype: number; shape: number[] }[];
  source?: Source;
  /** attributes of a Const, where the value is written into the graph */
  constant?: Attribute[];
  /** number of the pass through a repeated part that this belongs to */
  part?: number;
}

/** Where a value from outside comes from: a feed by position, or a tensor that existed before the record began. */
export type Source = { feed: number } | { tensorId: number };

/** The calls of tfjs's binding that make, run and free tensors. */
export interface Binding {
  executeOp(name: string, attributes: Attribute[], inputIds: number[], outputs: number): TensorMetadata[];
  createTensor(shape: number[], dtype: number, values: ArrayBufferView | number[]): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): Float32Array | Int32Array | Uint8Array;
}

export interface TensorMetadata {
  id: number;
  dtype: number;
  shape: number[];
}

/** The binding with some calls replaced; its own properties are read-only, so a proxy stands before an empty object. */
export function overrideBinding(binding: Binding, calls: Partial<Binding>): Binding {
  return new Proxy(Object.create(binding) as Binding, {
    get(_, key) {
      if (key in calls) return calls[key as keyof Binding];
      const value = Reflect.get(binding, key) as unknown;
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(binding) : value;
    },
  });
}

/** Values from outside that are written into the graph instead of being resident: few numbers, or sizes and indices. */
export function isConstant(dtype: number, shape: number[]): boolean {
  return shape.reduce((a, b) => a * b, 1) <= (dtype === DataType.int32 ? 4096 : 16);
}

/** Symbolic tensors have ids from here on; the real binding counts from 0. */
const FIRST_SYMBOLIC_ID = 1 << 29;

/** Operations whose inputs are lists: the lengths of their argument lists, -1 for a single tensor. */
export function listLengths(operation: string, inputs: number): number[] {
  switch (operation) {
    case 'AddN':
    case 'Pack':
    case 'Einsum':
      return [inputs];
    case 'ConcatV2':
      return [inputs - 1, -1];
    default:
      return [];
  }
}

/**
 * Takes the place of tfjs's binding while a step is recorded: nothing is executed, TensorFlow's own shape inference answers
 * in a scratch graph. Tensors that existed before appear as sources; constants made on the way are kept by the real binding.
 */
export class Recorder {
  readonly nodes: RecordedNode[] = [];
  private readonly scratch: GraphHandle;
  private readonly numbers = new Map<RecordedNode, number>();
  private readonly symbolic = new Map<number, Ref>();
  private readonly sources = new Map<number, Ref>();
  private readonly pinned = new Set<number>();
  private nextId = FIRST_SYMBOLIC_ID;

  constructor(
    private readonly addon: Addon,
    private readonly binding: Binding,
    /** shape of a tensor of the real binding */
    private readonly describe: (id: number) => { dtype: number; shape: number[] },
    feeds: number[],
    /** variables: their values change, so they are never constants */
    private readonly variables: ReadonlySet<number> = new Set(),
    /** what stands for the size that varies between runs (../varying-size.ts) */
    private readonly standIn?: number,
  ) {
    this.scratch = addon.createGraph();
    feeds.forEach((id, feed) => this.sources.set(id, this.addSource(id, { feed })));
  }

  private parts = 0;
  private part?: number;

  /** A pass through a repeated part begins: what is recorded from now on belongs to it. */
  readonly enter = (): void => {
    this.part = this.parts++;
  };
  /** It ends; may be said again. */
  readonly leave = (): void => {
    this.part = undefined;
  };

  /** What tfjs calls instead of the binding. */
  asBinding(): Binding {
    return overrideBinding(this.binding, {
      executeOp: this.executeOp,
      createTensor: this.createTensor,
      deleteTensor: this.deleteTensor,
      tensorDataSync: this.tensorDataSync,
    });
  }

  /** The record's value for a tensor id, symbolic or real. */
  ref(id: number): Ref {
    const known = this.symbolic.get(id) ?? this.sources.get(id);
    if (known) return known;
    if (id >= FIRST_SYMBOLIC_ID) throw new NotRecordable('a tensor was used after it was freed');
    const ref = this.addSource(id, { tensorId: id });
    this.sources.set(id, ref);
    this.pinned.add(id);
    return ref;
  }

  /** Frees the constants that only the record needed, once their values have been taken; `moved` ones are freed already. */
  release(moved: (id: number) => boolean): void {
    for (const id of this.freedLater) if (!moved(id)) this.binding.deleteTensor(id);
    this.freedLater.clear();
  }

  private readonly freedLater = new Set<number>();

  private addSource(id: number, source: Source): Ref {
    const { dtype, shape } = this.describe(id);
    const node: RecordedNode = {
      operation: 'Placeholder',
      attributes: [],
      inputs: [],
      outputs: [{ dtype, shape }],
      source,
    };
    const small = 'tensorId' in source && !this.variables.has(id) && isConstant(dtype, shape);
    if (small) node.constant = this.constant(id, dtype, shape);
    // small constants may be shapes or axes, which shape inference must see
    const added = small
      ? this.addon.addNode(this.scratch, 'Const', `c${this.nodes.length}`, node.constant!, [], [], [])
      : this.addon.addNode(
          this.scratch,
          'Placeholder',
          `p${this.nodes.length}`,
          [attribute.type('dtype', dtype), attribute.shape('shape', shape)],
          [],
          [],
          [],
        );
    this.nodes.push(node);
    this.numbers.set(node, added.node);
    return { node, output: 0 };
  }

  private constant(id: number, dtype: number, shape: number[]): Attribute[] {
    const values = this.binding.tensorDataSync(id);
    const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice();
    return [attribute.type('dtype', dtype), attribute.tensor('value', dtype, shape, data)];
  }

  private readonly executeOp = (operation: string, attributes: Attribute[], inputIds: number[]): TensorMetadata[] => {
    const inputs = inputIds.map((id) => this.ref(id));
    return this.record(operation, attributes, inputs).map((ref) => {
      const id = this.nextId++;
      this.symbolic.set(id, ref);
      return { id, ...ref.node.outputs[ref.output]! };
    });
  };

  private record(operation: string, attributes: Attribute[], inputs: Ref[]): Ref[] {
    const flat = inputs.flatMap(({ node, output }) => [this.numbers.get(node)!, output]);
    const lists = listLengths(operation, inputs.length);
    // `_shapes`: outputs whose shape TensorFlow cannot infer, told by whoever calls the operation
    const told = attributes.find(({ name }) => name === '_shapes')?.value as string | undefined;
    const passed = attributes.filter(({ name }) => name !== '_shapes');
    const added = this.inScratch(operation, passed, flat, lists);
    const shapes = told === undefined ? [] : (JSON.parse(told) as (number[] | null)[]);
    const outputs = added.outputs.map(({ dtype, shape }, i) => {
      const known = shapes[i] ?? shape;
      if (!known || known.some((size) => size < 0))
        throw new NotRecordable(`the size of ${operation}'s result depends on values`);
      if (shapes[i]) this.addon.setShape(this.scratch, added.node, i, known);
      return { dtype, shape: known };
    });
    const node = { operation, attributes: passed, inputs: this.open(operation, inputs), outputs, part: this.part };
    this.nodes.push(node);
    this.numbers.set(node, added.node);
    return outputs.map((_, output) => ({ node, output }));
  }

  private inScratch(operation: string, attributes: Attribute[], inputs: number[], lists: number[]) {
    try {
      return this.addon.addNode(this.scratch, operation, `n${this.nodes.length}`, attributes, inputs, [], lists);
    } catch (error) {
      throw new NotRecordable(`${operation} can't be put into a graph (${(error as Error).message})`);
    }
  }

  /** The inputs with sizes that vary left open. */
  private open(operation: string, inputs: Ref[]): Ref[] {
    if (this.standIn === undefined) return inputs;
    const sizesOf = (input: number) => {
      const constant = inputs[input]?.node.constant;
      const data = constant?.find(({ name }) => name === 'value')?.value as { data: Uint8Array } | undefined;
      return data && [...new Int32Array(data.data.slice().buffer)];
    };
    const varies = (size: number) => size > 0 && size % this.standIn! === 0;
    if (FIXED_SIZES[operation]?.some((input) => sizesOf(input)?.some(varies)))
      throw new NotRecordable(`${operation} takes a size that varies between runs`);
    const at = OPEN_SIZES[operation];
    const sizes = at === undefined ? undefined : sizesOf(at);
    if (!sizes?.some(varies)) return inputs;
    return inputs.map((input, i) =>
      i === at
        ? this.openSizes(
            input,
            sizes.map((n) => (varies(n) ? VARYING : n)),
          )
        : input,
    );
  }

  private openSizes({ node: { outputs }, node }: Ref, sizes: number[]): Ref {
    const data = new Uint8Array(Int32Array.from(sizes).buffer);
    const attributes = [
      attribute.type('dtype', DataType.int32),
      attribute.tensor('value', DataType.int32, [sizes.length], data),
    ];
    const opened: RecordedNode = { operation: 'Const', attributes, inputs: [], outputs, part: this.part };
    this.nodes.push(opened);
    this.numbers.set(opened, this.numbers.get(node)!);
    return { node: opened, output: 0 };
  }

  private readonly createTensor = (shape: number[], dtype: number, values: ArrayBufferView | number[]): number => {
    if (this.standIn !== undefined && shape.some((size) => size > 0 && size % this.standIn! === 0))
      throw new NotRecordable('a constant has a size that varies between runs');
    return this.binding.createTensor(shape, dtype, values);
  };

  private readonly deleteTensor = (id: number): void => {
    if (id >= FIRST_SYMBOLIC_ID) this.symbolic.delete(id);
    else if (this.pinned.has(id)) this.freedLater.add(id);
    else this.binding.deleteTensor(id);
  };

  private readonly tensorDataSync = (id: number): Float32Array | Int32Array | Uint8Array => {
    if (id < FIRST_SYMBOLIC_ID && !this.isFeed(id)) return this.binding.tensorDataSync(id);
    throw new NotRecordable('a value was read in the middle of the step');
  };

  private isFeed(id: number): boolean {
    const source = this.sources.get(id)?.node.source;
    return source !== undefined && 'feed' in source;
  }
}
