import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import type { StepCompiler, StepDefinition } from '../compiler.ts';
import { withParts } from '../repeated.ts';
import { openShape } from '../varying-size.ts';
import type { Addon } from './addon.ts';
import { attribute, DataType } from './addon.ts';
import { Analysis } from './analysis.ts';
import { makeCheapAgain } from './cheap-again.ts';
import type { Output } from './graph-builder.ts';
import { CompiledGraph } from './compiled-graph.ts';
import { updatedInPlace } from './in-place.ts';
import { Lowering } from './lower.ts';
import { Recorder, type RecordedNode, type Ref } from './recorder.ts';
import { type CompilerBackend, type Fill, ResidentTensors, type TensorData } from './resident-tensors.ts';
import { Session, type SessionOptions } from './session.ts';

/** Garbage that is given back before a session is filled, bytes: the first run comes with what all of it takes. */
const FILL_BYTES = 4e6;

/** Compiles steps written on tfjs operations into graphs. A tensor that a step reads moves into its session. */
export class Compiler implements StepCompiler {
  /** tfjs's tensors that live in sessions */
  private readonly tensors: ResidentTensors;
  private readonly sessions = new WeakMap<object, Session>();

  constructor(
    private readonly addon: Addon,
    private readonly backend: CompilerBackend,
    private readonly options: SessionOptions,
  ) {
    this.tensors = new ResidentTensors(addon, backend);
  }

  trim(): void {
    this.addon.trim();
  }

  holds(tensor: Tensor, owner?: object): boolean {
    const resident = this.tensors.residentOf(this.tensors.idOf(tensor));
    return resident !== undefined && (owner === undefined || resident.session === this.sessionOf(owner));
  }

  write(variables: Variable[], values: (Float32Array | Int32Array)[]): Promise<void> {
    return this.tensors.write(variables, values);
  }

  /** The one session of everything that reads the same tensors, such as a model's weights: they must not move between two. */
  sessionOf(owner: object): Session {
    const session = this.sessions.get(owner) ?? new Session(this.addon, this.options);
    this.sessions.set(owner, session);
    return session;
  }

  /**
   * Records the step without executing it and puts it into the session.
   * @throws NotRecordable where the step reads a value or a size depends on one
   */
  async compile({ feeds, state, step, precision, standIn, owner = {} }: StepDefinition): Promise<CompiledGraph> {
    const session = this.sessionOf(owner);
    const feedIds = this.backend.getInputTensorIds(feeds);
    const stateIds = state.map((variable) => this.tensors.idOf(variable));
    const described = new Map<number, { dtype: number; shape: number[] }>();
    feeds.forEach((feed, i) => described.set(feedIds[i]!, this.data(feed)));
    const recorder = new Recorder(
      this.addon,
      this.backend.binding,
      (id) => described.get(id)!,
      feedIds,
      new Set(stateIds),
      standIn,
    );
    const { outputs, updates } = this.record(recorder, described, step, session);
    const live = updates.flatMap((update, i) => (update ? [{ update, variable: i }] : []));
    const roots = [...outputs, ...live.map(({ update }) => update)];
    const inPlace = updatedInPlace(live, stateIds, recorder.nodes);

    const sources = new Map<RecordedNode, Output>();
    const analysis = new Analysis(makeCheapAgain(recorder.nodes), roots, precision, session);
    const lowering = new Lowering(session, analysis, inPlace, {
      value: (node, type) => this.sourceValue(node, type, sources, session),
      type: (node) => this.sourceType(node),
      shape: (shape) => openShape(shape, standIn),
    });
    const fills: Fill[] = [];
    for (const node of analysis.live) {
      const { source, outputs: made } = node;
      if (source && 'feed' in source)
        sources.set(node, session.placeholder(made[0]!.dtype, openShape(made[0]!.shape, standIn)));
      else if (source) this.place(node, analysis, stateIds, sources, fills, session);
    }
    const placed = state.map((_, i) => this.tensors.residentOf(stateIds[i]!));
    recorder.release((id) => this.tensors.has(id));
    const assigned = live.filter(({ update }) => !inPlace.has(update.node));
    const lowered = lowering.lower([...outputs, ...assigned.map(({ update }) => update)]);
    await this.fill(session, fills);
    this.tensors.group(placed.filter((resident) => resident !== undefined));
    this.tensors.group(
      fills.map(({ resident }) => resident),
      true,
    );
    const fetches = lowered.slice(0, outputs.length);
    const assigns = assigned.map(({ variable }, i) => {
      const resident = placed[variable]!;
      const value = lowered[outputs.length + i]!;
      const type = attribute.type('dtype', resident.dtype);
      return session.one('AssignVariableOp', [type], [resident.handle, value], [resident.read.node]).node;
    });
    const feedOutputs = feedIds.map((_, i) =>
      recorder.nodes.find((n) => n.source && 'feed' in n.source && n.source.feed === i)!,
    );
    return new CompiledGraph(
      this.tensors,
      session,
      feedOutputs.map((node) => {
        const { dtype, shape } = node.outputs[0]!;
        return { output: sources.get(node), dtype, shape: openShape(shape, standIn) };
      }),
      state.map((variable, i) => ({ variable, resident: placed[i] })),
      fetches,
      [...assigns, ...lowering.targets],
    );
  }

  private fill(session: Session, fills: Fill[]): Promise<void> {
    this.tensors.leftBehind(0, FILL_BYTES);
    return session.fill(fills);
  }

  private record(
    recorder: Recorder,
    described: Map<number, { dtype: number; shape: number[] }>,
    step: StepDefinition['step'],
    session: Session,
  ): { outputs: Ref[]; updates: (Ref | undefined)[] } {
    const eager = this.backend.binding;
    const idsOf = this.backend.getInputTensorIds;
    this.backend.binding = recorder.asBinding();
    this.backend.getInputTensorIds = (tensors) => {
      // tfjs keeps a tensor's numbers in JavaScript's memory until it is used first
      const left = tensors.reduce((sum, one) => sum + ('dataId' in one ? (this.data(one).values?.byteLength ?? 0) : 0), 0); // prettier-ignore
      const ids = idsOf.call(this.backend, tensors);
      this.tensors.leftBehind(left);
      tensors.forEach((tensor, i) => {
        if ('dataId' in tensor && !described.has(ids[i]!)) described.set(ids[i]!, this.data(tensor));
        else if (!('dataId' in tensor)) described.set(ids[i]!, { dtype: 9, shape: [] });
      });
      return ids;
    };
    try {
      return tf.tidy(() => {
        // a GPU's functions would run where their call is placed: there the graph stays flat
        const { outputs, updates } = session.fused ? withParts(recorder, step) : step();
        const ref = (tensor: Tensor) => recorder.ref(this.backend.getInputTensorIds([tensor])[0]!);
        const result = { outputs: outputs.map(ref), updates: updates.map((update) => update && ref(update)) };
        // a plain object of references: tidy frees the symbolic tensors themselves
        return result as unknown as tf.TensorContainer;
      }) as unknown as { outputs: Ref[]; updates: (Ref | undefined)[] };
    } finally {
      this.backend.binding = eager;
      this.backend.getInputTensorIds = idsOf;
    }
  }

  private data(tensor: { dataId: object }): TensorData {
    return this.backend.tensorMap.get(tensor.dataId);
  }

  /** A value from outside that is not fed becomes a constant or a resident. */
  private place(
    node: RecordedNode,
    analysis: Analysis,
    stateIds: number[],
    sources: Map<RecordedNode, Output>,
    fills: Fill[],
    session: Session,
  ): void {
    const { dtype, shape } = node.outputs[0]!;
    const id = (node.source as { tensorId: number }).tensorId;
    const known = this.tensors.residentOf(id);
    if (known) node.constant = undefined;
    else if (node.constant) return;
    if (known?.session === session) {
      sources.set(node, known.read);
      return;
    }
    const type = !stateIds.includes(id) && analysis.onlyInBf16(node) ? DataType.bfloat16 : dtype;
    const fill = this.tensors.move(id, dtype, type, shape, session);
    fills.push(fill);
    sources.set(node, fill.resident.read);
  }

  /** The type a value from outside is kept in. */
  private sourceType({ source, outputs }: RecordedNode): number {
    const resident = 'tensorId' in source! ? this.tensors.residentOf(source.tensorId) : undefined;
    return resident?.dtype ?? outputs[0]!.dtype;
  }

  private sourceValue(node: RecordedNode, type: number, sources: Map<RecordedNode, Output>, session: Session): Output {
    const value = sources.get(node)!;
    const has = this.sourceType(node);
    if (has === type) return value;
    const key = `${value.node}:${type}`;
    let known = session.converted.get(key);
    if (!known) {
      known = session.one(
        'Cast',
        [
          { name: 'SrcT', type: 4, value: has },
          { name: 'DstT', type: 4, value: type },
        ],
        [value],
      );
      session.converted.set(key, known);
    }
    return known;
  }
}
