import { outOfMemory } from '../device-error.ts';
import type { Addon, Feed, HostTensor, StagedTensor } from './addon.ts';
import { attribute, DataType } from './addon.ts';
import { GraphBuilder, type Output } from './graph-builder.ts';

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

/** A repeated part of a step as an operation of the graph. */
export interface PartFunction {
  name: string;
  inputTypes: number[];
  outputTypes: number[];
}

/** One TensorFlow graph with one session: every compiled step of an engine shares its resident weights. */
export class Session extends GraphBuilder {
  /** nodes that destroy what was freed in this turn */
  private readonly freed: number[] = [];
  /** whether our own operations can be used */
  readonly fused: boolean;
  /** values from outside in another type, by node and type */
  readonly converted = new Map<string, Output>();
  /** repeated parts that have become operations of this graph, by what they do */
  readonly functions = new Map<string, PartFunction>();

  constructor(addon: Addon, options: SessionOptions) {
    super(addon);
    this.fused = !options.gpu;
    addon.openSession(this.graph, sessionConfiguration(options));
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
    await this.addon
      .run(
        this.graph,
        feeds,
        [],
        values.map(({ resident }) => resident.assign),
      )
      .catch(rethrown);
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

  /** Gives what is free of the process's memory back to the system. */
  trim(): void {
    this.addon.trim();
  }

  run(feeds: Feed[], fetches: Output[], targets: number[]): Promise<HostTensor[]> {
    const flat = fetches.flatMap(({ node, output }) => [node, output]);
    return this.addon.run(this.graph, feeds, flat, targets).catch(rethrown);
  }
}

/** @throws DeviceError where TensorFlow's allocator had no more, else what it said */
function rethrown(error: unknown): never {
  if (!(error instanceof Error) || !error.message.includes('OOM when allocating tensor')) throw error;
  throw outOfMemory(error.message.includes('device:GPU') ? 'the GPU' : 'this machine');
}

/**
 * A serialised ConfigProto (tensorflow/core/protobuf/config.proto): threads; on a GPU memory as it is needed. Operations run one
 * after the other, each on all threads: steps are chains, and one big product at a time keeps caches and memory small.
 */
function sessionConfiguration({ threads, gpu }: SessionOptions): Uint8Array {
  const bytes = [0x10, ...varint(threads), 0x28, 1];
  if (gpu) bytes.push(0x32, 2, 0x20, 1); // gpu_options { allow_growth: true }
  bytes.push(0x38, 1); // allow_soft_placement
  // graph_options { rewrite_options { disable_meta_optimizer: true } }: seconds at the first run, and nothing left for it to find
  bytes.push(0x52, 5, 0x52, 3, 0x98, 0x01, 1);
  return Uint8Array.from(bytes);
}

/** A whole number as protocol buffers write it: seven bits a byte, the lowest first, the highest bit of a byte where more follow. */
function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}
