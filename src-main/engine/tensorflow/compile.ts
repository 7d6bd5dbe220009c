import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import { withParts } from '../repeated.ts';
import type { Addon, StagedTensor } from './addon.ts';
import { attribute, DataType } from './addon.ts';
import type { NodeBackend } from './fused.ts';
import { Analysis, type Precision } from './analysis.ts';
import type { Output } from './graph-builder.ts';
import { CompiledStep } from './compiled-graph.ts';
import { updatedInPlace } from './in-place.ts';
import { Lowering } from './lower.ts';
import { type Binding, overrideBinding, Recorder, type RecordedNode, type Ref } from './recorder.ts';
import { type Resident, Session, type SessionOptions } from './session.ts';

/** A step as a pure function: what it is fed, what it keeps, what it gives. */
export interface StepDefinition {
  /** examples of what is fed at every run: their shapes and types count, not their values */
  feeds: Tensor[];
  /** variables that live in the engine between runs; the step reads them like any tensor */
  state: Variable[];
  /** the step on the feeds and the state; `updates` are the new values of `state`, in its order (undefined: unchanged) */
  step: () => { outputs: Tensor[]; updates: (Tensor | undefined)[] };
  precision: Precision;
  /** where the step lives; steps of one session share their residents. Default: one of its own */
  session?: Session;
}

interface TensorData {
  shape: number[];
  dtype: number;
  values: ArrayBufferView | null;
  id: number;
}

export interface CompilerBackend extends NodeBackend {
  binding: Binding;
  tensorMap: { get(dataId: object): TensorData };
  getInputTensorIds(tensors: { dataId: object }[]): number[];
}

/**
 * Compiles steps written on tfjs operations into graphs of one session. A tensor that a step reads moves into the session: tfjs
 * still has it, but its memory is the session's, and reading it asks the session.
 */
export class Compiler {
  private readonly binding: Binding;
  private readonly residents = new Map<number, Resident>();
  /** what was compiled together is read together: every new set of fetches costs TensorFlow a pass over the graph */
  private readonly groups = new Map<Resident, ReadGroup>();
  private readonly sessions = new WeakMap<object, Session>();
  /** real tensors made again from residents for eager use */
  private readonly copies = new Map<number, number>();

  constructor(
    private readonly addon: Addon,
    private readonly backend: CompilerBackend,
    private readonly options: SessionOptions,
  ) {
    this.binding = backend.binding;
    backend.binding = this.eagerBinding();
  }

  /** A session for steps that share their residents. A tensor lives in the session that used it last. */
  openSession(): Session {
    return new Session(this.addon, this.options);
  }

  /** The one session of everything that reads the same tensors, such as a model's weights: they must not move between two. */
  sessionOf(owner: object): Session {
    const session = this.sessions.get(owner) ?? this.openSession();
    this.sessions.set(owner, session);
    return session;
  }

  /**
   * Records the step without executing it and puts it into the session.
   * @throws NotRecordable where the step reads a value or a size depends on one
   */
  async compile({
    feeds,
    state,
    step,
    precision,
    session = this.openSession(),
  }: StepDefinition): Promise<CompiledStep> {
    const feedIds = this.backend.getInputTensorIds(feeds);
    const stateIds = state.map((variable) => this.idOf(variable));
    const described = new Map<number, { dtype: number; shape: number[] }>();
    feeds.forEach((feed, i) => described.set(feedIds[i]!, this.data(feed)));
    const recorder = new Recorder(
      this.addon,
      this.backend.binding,
      (id) => described.get(id)!,
      feedIds,
      new Set(stateIds),
    );
    const { outputs, updates } = this.record(recorder, described, step, session);
    const live = updates.flatMap((update, i) => (update ? [{ update, variable: i }] : []));
    const roots = [...outputs, ...live.map(({ update }) => update)];
    const inPlace = updatedInPlace(live, stateIds);

    const sources = new Map<RecordedNode, Output>();
    const analysis = new Analysis(recorder.nodes, roots, precision, session);
    const lowering = new Lowering(session, analysis, inPlace, {
      value: (node, type) => this.sourceValue(node, type, sources, session),
      type: (node) => this.sourceType(node),
    });
    const fills: { resident: Resident; staged: StagedTensor }[] = [];
    for (const node of analysis.live) if (node.source) this.place(node, analysis, stateIds, sources, fills, session);
    const placed = state.map((_, i) => this.residents.get(stateIds[i]!));
    recorder.release((id) => this.residents.has(id));
    const assigned = live.filter(({ update }) => !inPlace.has(update.node));
    const lowered = lowering.lower([...outputs, ...assigned.map(({ update }) => update)]);
    await session.fill(fills);
    this.group(placed.filter((resident) => resident !== undefined));
    this.group(
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
    return new CompiledStep(
      this,
      session,
      feedOutputs.map((node) => ({ output: sources.get(node), ...node.outputs[0]! })),
      state.map((variable, i) => ({ variable, resident: placed[i] })),
      fetches,
      [...assigns, ...lowering.targets],
    );
  }

  /** Residents that are read in one run from now on, unless they belong to such a group already. */
  private group(residents: Resident[], frozen = false): void {
    const members = residents.filter((resident) => !this.groups.has(resident));
    const group: ReadGroup = { members, frozen };
    for (const resident of members) this.groups.set(resident, group);
  }

  /** A resident's numbers; those of its group are kept until the next run changes them. */
  private read(resident: Resident): Float32Array | Int32Array {
    const group = this.groups.get(resident)!;
    if (!group.values) {
      const results = group.members[0]!.session.readSync(group.members);
      group.values = new Map(group.members.map((member, i) => [member, results[i]!.data]));
    }
    const data = group.values.get(resident)!;
    return resident.dtype === DataType.int32 ? new Int32Array(data) : new Float32Array(data);
  }

  /** After a run, or a write from eager code, what has been read and copied of a state is stale. */
  forget(residents: Resident[]): void {
    const stale = new Set(residents);
    for (const resident of stale) this.groups.get(resident)!.values = undefined;
    for (const [id, resident] of this.residents) if (stale.has(resident)) this.forgetCopy(id);
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
      const ids = idsOf.call(this.backend, tensors);
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

  /** The binding's id of a tensor that exists. */
  idOf(tensor: Tensor): number {
    return this.backend.getInputTensorIds([tensor])[0]!;
  }

  residentOf(id: number): Resident | undefined {
    return this.residents.get(id);
  }

  /** A value from outside becomes a placeholder, a constant, or a resident. */
  private place(
    node: RecordedNode,
    analysis: Analysis,
    stateIds: number[],
    sources: Map<RecordedNode, Output>,
    fills: { resident: Resident; staged: StagedTensor }[],
    session: Session,
  ): void {
    const { dtype, shape } = node.outputs[0]!;
    const source = node.source!;
    if ('feed' in source) {
      sources.set(node, session.placeholder(dtype, shape));
      return;
    }
    const id = source.tensorId;
    let resident = this.residents.get(id);
    if (resident) node.constant = undefined;
    else if (node.constant) return;
    if (resident?.session !== session) {
      // it may live in another session: then it moves
      const values = this.backend.binding.tensorDataSync(id);
      const isState = stateIds.includes(id);
      const type = !isState && analysis.onlyInBf16(node) ? DataType.bfloat16 : dtype;
      resident = session.resident(type, shape, dtype);
      fills.push({ resident, staged: this.addon.stage(dtype, shape, values) });
      if (this.residents.has(id)) this.dismiss(id);
      else this.binding.deleteTensor(id);
      this.residents.set(id, resident);
    }
    sources.set(node, resident.read);
  }

  /** The type a value from outside is kept in. */
  private sourceType({ source, outputs }: RecordedNode): number {
    const resident = 'tensorId' in source! ? this.residents.get(source.tensorId) : undefined;
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

  /** tfjs's binding as eager code sees it: tensors that moved into the session come back when they are used. */
  private eagerBinding(): Binding {
    const { binding } = this;
    const here = (id: number) => (this.residents.has(id) ? this.copyOf(id) : id);
    const calls: Partial<Binding> = {
      executeOp: (name, attributes, ids, outputs) =>
        binding.executeOp(
          name,
          attributes.filter((a) => a.name !== '_shapes'),
          ids.map(here),
          outputs,
        ),
      tensorDataSync: (id) => {
        const resident = this.residents.get(id);
        if (!resident) return binding.tensorDataSync(id);
        return this.read(resident);
      },
      deleteTensor: (id) => {
        const resident = this.residents.get(id);
        if (!resident) return binding.deleteTensor(id);
        this.dismiss(id);
      },
    };
    return overrideBinding(binding, calls);
  }

  /** A resident's end. */
  private dismiss(id: number): void {
    const resident = this.residents.get(id)!;
    this.forgetCopy(id);
    this.residents.delete(id);
    const group = this.groups.get(resident)!;
    group.members = group.members.filter((member) => member !== resident);
    this.groups.delete(resident);
    resident.session.free(resident);
  }

  private copyOf(id: number): number {
    if (this.copies.has(id)) return this.copies.get(id)!;
    const group = this.groups.get(this.residents.get(id)!)!;
    for (const [other, resident] of this.residents) {
      if (other !== id && !(group.frozen && this.groups.get(resident) === group && !this.copies.has(other))) continue;
      const dtype = resident.dtype === DataType.bfloat16 ? DataType.float : resident.dtype;
      this.copies.set(other, this.binding.createTensor(resident.shape, dtype, this.read(resident)));
    }
    if (group.frozen) group.values = undefined;
    return this.copies.get(id)!;
  }

  private forgetCopy(id: number): void {
    const copy = this.copies.get(id);
    if (copy !== undefined) this.binding.deleteTensor(copy);
    this.copies.delete(id);
  }

  /** New values for variables, of which some or all live in sessions: one run for each session. */
  async write(variables: Variable[], values: (Float32Array | Int32Array)[]): Promise<void> {
    const fills = new Map<Session, { resident: Resident; staged: StagedTensor }[]>();
    variables.forEach((variable, i) => {
      const resident = this.residents.get(this.idOf(variable));
      if (!resident) return tf.tidy(() => void variable.assign(tf.tensor(values[i]!, variable.shape, variable.dtype)));
      const list = fills.get(resident.session) ?? [];
      list.push({ resident, staged: this.addon.stage(resident.dtype, resident.shape, values[i]!) });
      fills.set(resident.session, list);
    });
    for (const [session, list] of fills) {
      await session.fill(list);
      this.forget(list.map(({ resident }) => resident));
    }
  }

  /** A variable got a new tensor from eager code: its value goes into the resident that the compiled step knows. */
  async adopt(variable: Variable, resident: Resident): Promise<void> {
    const id = this.idOf(variable);
    const values = this.backend.binding.tensorDataSync(id);
    await resident.session.fill([{ resident, staged: this.addon.stage(resident.dtype, resident.shape, values) }]);
    if (!this.residents.has(id)) this.binding.deleteTensor(id);
    this.residents.set(id, resident);
    if (!this.groups.has(resident)) this.groups.set(resident, { members: [resident] });
    this.forget([resident]);
  }
}

/** Residents read in one run. */
interface ReadGroup {
  members: Resident[];
  /** never written: copies of all are made at once, and nothing is kept in JavaScript's memory */
  frozen?: boolean;
  values?: Map<Resident, ArrayBuffer>;
}
