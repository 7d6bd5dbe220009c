import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import { collectGarbage } from '../collect-garbage.ts';
import type { Addon, StagedTensor } from './addon.ts';
import { DataType } from './addon.ts';
import type { NodeBackend } from './fused.ts';
import { type Binding, overrideBinding } from './recorder.ts';
import type { Resident, Session } from './session.ts';

export interface TensorData {
  shape: number[];
  dtype: number;
  values: ArrayBufferView | null;
  id: number;
}

export interface CompilerBackend extends NodeBackend {
  binding: Binding;
  tensorMap: { get(dataId: object): TensorData; set(dataId: object, data: TensorData & { refCount: number }): void };
  getInputTensorIds(tensors: { dataId: object }[]): number[];
}

/** A resident that waits for its first value. */
export interface Fill {
  resident: Resident;
  staged: StagedTensor;
}

/** Residents read in one run. */
interface ReadGroup {
  members: Resident[];
  /** never written: copies of all are made at once, and nothing is kept in JavaScript's memory */
  frozen?: boolean;
}

/** What residents that change are read in at a time, bytes: reading all of a training's state at once would take as much again. */
const READ_BYTES = 16e6;

/** Garbage that is left alone, bytes: V8 collects numbers late that it holds for others, and weights in f32 would lie there once more. */
const LEFT_BYTES = 64e6;

/**
 * Which of tfjs's tensors live in a session. tfjs still has such a tensor, but its memory is the session's: reading it asks the
 * session, and eager code that uses it gets a copy.
 */
export class ResidentTensors {
  private readonly binding: Binding;
  private readonly residents = new Map<number, Resident>();
  /** neighbours are read together: every new set of fetches costs TensorFlow a pass over the graph */
  private readonly groups = new Map<Resident, ReadGroup>();
  /** the numbers of the group that was read last, until a run changes them */
  private latest?: { group: ReadGroup; values: Map<Resident, ArrayBuffer> };
  /** real tensors made again from residents for eager use */
  private readonly copies = new Map<number, number>();
  /** garbage since it was collected */
  private leftBytes = 0;

  /** From now on tfjs reads through this. */
  constructor(
    private readonly addon: Addon,
    private readonly backend: CompilerBackend,
  ) {
    this.binding = backend.binding;
    backend.binding = this.eagerBinding();
  }

  /** The binding's id of a tensor that exists. */
  idOf(tensor: Tensor): number {
    return this.backend.getInputTensorIds([tensor])[0]!;
  }

  residentOf(id: number): Resident | undefined {
    return this.residents.get(id);
  }

  has(id: number): boolean {
    return this.residents.has(id);
  }

  /** Moves a tensor into a session, from tfjs or from another session; the session has its value once it is filled. */
  move(id: number, dtype: number, type: number, shape: number[], session: Session): Fill {
    const values = this.backend.binding.tensorDataSync(id);
    const resident = session.resident(type, shape, dtype);
    const staged = this.addon.stage(dtype, shape, values);
    this.leftBehind(values.byteLength);
    if (this.residents.has(id)) this.dismiss(id);
    else this.binding.deleteTensor(id);
    this.residents.set(id, resident);
    return { resident, staged };
  }

  /** So many more bytes of JavaScript's memory are garbage; gives it back where that is more than `most` in all. */
  leftBehind(bytes: number, most = LEFT_BYTES): void {
    this.leftBytes += bytes;
    if (this.leftBytes <= most) return;
    collectGarbage();
    this.addon.trim();
    this.leftBytes = 0;
  }

  /** Residents that are read in few runs from now on, in this order, or frozen ones in one; but for those that are grouped already. */
  group(residents: Resident[], frozen = false): void {
    let group: ReadGroup = { members: [], frozen };
    let bytes = 0;
    for (const resident of residents) {
      if (this.groups.has(resident)) continue;
      if (!frozen && bytes > READ_BYTES) [group, bytes] = [{ members: [], frozen }, 0];
      bytes += 4 * resident.shape.reduce((product, size) => product * size, 1);
      group.members.push(resident);
      this.groups.set(resident, group);
    }
  }

  /** After a run, or a write from eager code, what has been read and copied of a state is stale. */
  forget(residents: Resident[]): void {
    const stale = new Set(residents);
    if (this.latest?.group.members.some((resident) => stale.has(resident))) this.latest = undefined;
    for (const [id, resident] of this.residents) if (stale.has(resident)) this.forgetCopy(id);
  }

  /** New values for variables, of which some or all live in sessions: one run for each session. */
  async write(variables: Variable[], values: (Float32Array | Int32Array)[]): Promise<void> {
    const fills = new Map<Session, Fill[]>();
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

  /** tfjs's binding as eager code sees it: tensors that moved into a session come back when they are used. */
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

  /** A resident's numbers; those of its group are kept until another group is read or a run changes them. */
  private read(resident: Resident): Float32Array | Int32Array {
    const group = this.groups.get(resident)!;
    if (this.latest?.group !== group) {
      const results = resident.session.readSync(group.members);
      this.latest = { group, values: new Map(group.members.map((member, i) => [member, results[i]!.data])) };
    }
    const data = this.latest.values.get(resident)!;
    return resident.dtype === DataType.int32 ? new Int32Array(data) : new Float32Array(data);
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
    if (group.frozen) this.latest = undefined;
    return this.copies.get(id)!;
  }

  private forgetCopy(id: number): void {
    const copy = this.copies.get(id);
    if (copy !== undefined) this.binding.deleteTensor(copy);
    this.copies.delete(id);
  }
}
