import type { Addon, Attribute, Feed, GraphHandle, HostTensor, StagedTensor } from './addon.ts';
import { attribute, DataType } from './addon.ts';
import { listLengths } from './recorder.ts';

/** An output of a node of the session's graph. */
export interface Output {
  node: number;
  output: number;
}

/** A value that stays inside the session between runs. */
export interface Resident {
  session: Session;
  dtype: number;
  shape: number[];
  handle: Output;
  read: Output;
  fed: Output;
  assign: number;
  /** a bf16 resident's value as f32, once it has been asked for */
  asFloat?: Output;
}

export interface SessionOptions {
  threads: number;
  gpu: boolean;
}

/** One TensorFlow graph with one session: every compiled step of an engine shares its resident weights. */
export class Session {
  private readonly graph: GraphHandle;
  private names = 0;
  /** nodes that destroy what was freed in this turn */
  private readonly freed: number[] = [];
  /** whether our own operations can be used */
  readonly fused: boolean;
  /** values from outside in another type, by node and type */
  readonly converted = new Map<string, Output>();
  /** whether matrix products run on our own AMX kernel */
  get tiles(): boolean {
    return this.fused && this.addon.hasTiles();
  }

  constructor(
    readonly addon: Addon,
    options: SessionOptions,
  ) {
    this.fused = !options.gpu;
    this.graph = addon.createGraph();
    addon.openSession(this.graph, sessionConfiguration(options));
  }

  add(operation: string, attributes: Attribute[], inputs: Output[], controls: number[] = []): Output[] {
    const flat = inputs.flatMap(({ node, output }) => [node, output]);
    const lists = listLengths(operation, inputs.length);
    const added = this.addon.addNode(this.graph, operation, `n${this.names++}`, attributes, flat, controls, lists);
    return added.outputs.length === 0
      ? [{ node: added.node, output: 0 }]
      : added.outputs.map((_, output) => ({ node: added.node, output }));
  }

  one(operation: string, attributes: Attribute[], inputs: Output[], controls: number[] = []): Output {
    return this.add(operation, attributes, inputs, controls)[0]!;
  }

  placeholder(dtype: number, shape: number[]): Output {
    return this.one('Placeholder', [attribute.type('dtype', dtype), attribute.shape('shape', shape)], []);
  }

  constant(dtype: number, shape: number[], data: Uint8Array): Output {
    return this.one('Const', [attribute.type('dtype', dtype), attribute.tensor('value', dtype, shape, data)], []);
  }

  /** A variable; `fedAs` is the type its first value comes in (bf16 residents are fed as f32 and rounded on the way). */
  resident(dtype: number, shape: number[], fedAs = dtype): Resident {
    const type = attribute.type('dtype', dtype);
    const name = attribute.string('shared_name', `v${this.names}`);
    const handle = this.one('VarHandleOp', [type, attribute.shape('shape', shape), name], []);
    const fed = this.placeholder(fedAs, shape);
    const value =
      fedAs === dtype ? fed : this.one('Cast', [attribute.type('SrcT', fedAs), attribute.type('DstT', dtype)], [fed]);
    return {
      session: this,
      dtype,
      shape,
      handle,
      fed,
      read: this.one('ReadVariableOp', [type], [handle]),
      assign: this.one('AssignVariableOp', [type], [handle, value]).node,
    };
  }

  /** Gives residents their values, all in one run: every new set of fetches costs TensorFlow a pass over the graph. */
  async fill(values: { resident: Resident; staged: StagedTensor }[]): Promise<void> {
    if (values.length === 0) return;
    const feeds = values.map(({ resident, staged }) => ({ ...resident.fed, staged }));
    await this.addon.run(
      this.graph,
      feeds,
      [],
      values.map(({ resident }) => resident.assign),
    );
  }

  /** Values of residents, bf16 ones as f32. */
  readSync(residents: Resident[]): HostTensor[] {
    const fetches = residents.map((resident) => {
      if (resident.dtype !== DataType.bfloat16) return resident.read;
      const types = [attribute.type('SrcT', DataType.bfloat16), attribute.type('DstT', DataType.float)];
      return (resident.asFloat ??= this.one('Cast', types, [resident.read]));
    });
    return this.addon.runSync(
      this.graph,
      [],
      fetches.flatMap(({ node, output }) => [node, output]),
      [],
    );
  }

  /**
   * Frees a resident's memory, together with all others that are freed in the same turn: every new set of targets costs
   * TensorFlow a pass over the graph, which for a model's weights one by one takes minutes.
   */
  free(resident: Resident): void {
    const destroy = this.one('DestroyResourceOp', [attribute.bool('ignore_lookup_error', true)], [resident.handle]);
    if (this.freed.push(destroy.node) > 1) return;
    queueMicrotask(() => this.addon.runSync(this.graph, [], [], this.freed.splice(0)));
  }

  run(feeds: Feed[], fetches: Output[], targets: number[]): Promise<HostTensor[]> {
    const flat = fetches.flatMap(({ node, output }) => [node, output]);
    return this.addon.run(this.graph, feeds, flat, targets);
  }
}

/**
 * A serialised ConfigProto (tensorflow/core/protobuf/config.proto): threads; on a GPU memory as it is needed. Operations run one
 * after the other, each on all threads: steps are chains, and one big product at a time keeps caches and memory small.
 */
function sessionConfiguration({ threads, gpu }: SessionOptions): Uint8Array {
  const bytes = [0x10, threads, 0x28, 1];
  if (gpu) bytes.push(0x32, 2, 0x20, 1); // gpu_options { allow_growth: true }
  bytes.push(0x38, 1); // allow_soft_placement
  return Uint8Array.from(bytes);
}
