import type {
  HeadsFrame,
  MetricsRecord,
  RunEvent,
  RunPosition,
  RunSummary,
  SampleRecord,
} from '../../src-preload/contract/index.ts';
import { readHeadName } from '../sites.ts';

export interface Head {
  name: string;
  layer: number;
  site: string;
  head: number;
}

/** Frames kept at most; beyond it every second one is dropped, so that memory stays flat however long the run is. */
const MAX_FRAMES = 4_096;
const MAX_LOG_CHARACTERS = 200_000;

/** What a view of the heads shows of a run, or of an adapter told as one. */
export interface HeadView {
  data: RunData;
  frame: number;
  /** of the data */
  version: number;
  /** heads can be switched: the struck ones are off */
  switching?: boolean;
}

/** What one run's files say, in typed arrays: nothing here is reactive, `version` counts the changes. */
export class RunData {
  version = 0;
  run: RunSummary | undefined;
  position: RunPosition | undefined;
  current = false;
  heads: Head[] = [];
  layers = 0;
  /** where each block of a UNet lies; empty of other models */
  blocks: string[] = [];
  sites: string[] = [];
  headsASite = 0;
  /** one entry a step, in order; that of step 0 holds what was measured before the first update */
  metrics: MetricsRecord[] = [];
  samples: SampleRecord[] = [];
  log = '';
  /** frame f of head h at f * heads.length + h */
  frames = 0;
  steps = new Int32Array(64);
  importance = new Float32Array(0);
  share = new Float32Array(0);
  frozen = new Uint8Array(0);
  /** when the frozen heads became others, by frame */
  freezes: { step: number; count: number }[] = [];
  /** most memory that a step was measured with, bytes */
  peakBytes = 0;
  /** importance that gets the strongest colour */
  peak = 0;
  /** every `stride`-th frame that came is kept */
  private stride = 1;
  private seen = 0;

  take(event: RunEvent): void {
    this.version += 1;
    if ('position' in event) this.position = event.position;
    if (event.kind === 'status') this.run = event.run;
    else if (event.kind === 'reset') this.forget();
    else if (event.kind === 'names') this.layOut(event.names, event.blocks);
    else if (event.kind === 'metrics') for (const record of event.records) this.addMetrics(record);
    else if (event.kind === 'heads') for (const frame of event.frames) this.addFrame(frame);
    else if (event.kind === 'samples') this.samples.push(...event.records);
    else if (event.kind === 'log') this.log = (this.log + event.text).slice(-MAX_LOG_CHARACTERS);
    else this.current = true;
  }

  /** The frame at or before `step`. */
  frameAt(step: number): number {
    let [low, high] = [0, this.frames - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.steps[middle]! <= step) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  get lastStep(): number {
    return this.frames > 0 ? this.steps[this.frames - 1]! : 0;
  }

  frozenCount(frame: number): number {
    let count = 0;
    const from = frame * this.heads.length;
    for (let head = 0; head < this.heads.length; head += 1) count += this.frozen[from + head]!;
    return count;
  }

  private forget(): void {
    this.metrics = [];
    this.samples = [];
    this.freezes = [];
    this.log = '';
    this.frames = 0;
    this.seen = 0;
    this.stride = 1;
    this.peak = 0;
    this.peakBytes = 0;
    this.current = false;
  }

  /** What a layer is called: where a UNet's block lies, else by its number. */
  layerName(layer: number): string {
    return this.blocks[layer] ?? String(layer);
  }

  private layOut(names: string[], blocks: string[] = []): void {
    if (names.length === this.heads.length) return;
    this.blocks = blocks;
    this.heads = names.map((name) => ({ name, ...readHeadName(name) }));
    this.sites = [...new Set(this.heads.map(({ site }) => site))];
    this.layers = 1 + this.heads.reduce((most, { layer }) => Math.max(most, layer), -1);
    this.headsASite = 1 + this.heads.reduce((most, { head }) => Math.max(most, head), -1);
  }

  private addMetrics(record: MetricsRecord): void {
    const last = this.metrics.at(-1)?.step ?? -1;
    // A step may come twice after a lost connection: it is the same line.
    if (record.step > last) this.metrics.push(record);
    this.peakBytes = Math.max(this.peakBytes, record.memory ?? 0);
  }

  private addFrame(frame: HeadsFrame): void {
    if (this.frames > 0 && frame.step <= this.lastStep) return;
    this.seen += 1;
    if ((this.seen - 1) % this.stride !== 0) return;
    if (this.frames === MAX_FRAMES) this.thin();
    const width = this.heads.length;
    this.reserve(this.frames + 1);
    const from = this.frames * width;
    this.steps[this.frames] = frame.step;
    this.importance.set(floats(frame.importance), from);
    if (frame.share) this.share.set(floats(frame.share), from);
    const bits = atob(frame.frozen);
    for (let head = 0; head < width; head += 1) {
      this.frozen[from + head] = (bits.charCodeAt(head >> 3) >> (head & 7)) & 1;
    }
    this.peak = Math.max(this.peak, highest(this.importance.slice(from, from + width)));
    this.noteFreeze(frame.step, from, width);
    this.frames += 1;
  }

  /** Whether this frame's frozen heads are others than the last one's. */
  private noteFreeze(step: number, from: number, width: number): void {
    let [count, differs] = [0, false];
    for (let head = from; head < from + width; head += 1) {
      count += this.frozen[head]!;
      differs ||= this.frozen[head] !== (from > 0 ? this.frozen[head - width] : 0);
    }
    if (differs) this.freezes.push({ step, count });
  }

  private reserve(frames: number): void {
    const width = this.heads.length;
    const has = width ? this.importance.length / width : 0;
    if (frames <= has && frames <= this.steps.length) return;
    const size = Math.max(64, Math.min(MAX_FRAMES, Math.max(has, this.steps.length) * 2));
    this.steps = grown(this.steps, new Int32Array(size));
    this.importance = grown(this.importance, new Float32Array(size * width));
    this.share = grown(this.share, new Float32Array(size * width));
    this.frozen = grown(this.frozen, new Uint8Array(size * width));
  }

  private thin(): void {
    const width = this.heads.length;
    for (let frame = 0; frame * 2 < this.frames; frame += 1) {
      const [from, to] = [frame * 2 * width, frame * width];
      this.steps[frame] = this.steps[frame * 2]!;
      for (const array of [this.importance, this.share, this.frozen]) array.copyWithin(to, from, from + width);
    }
    this.frames = Math.ceil(this.frames / 2);
    this.stride *= 2;
  }
}

function grown<T extends Int32Array | Float32Array | Uint8Array>(old: T, bigger: T): T {
  bigger.set(old);
  return bigger;
}

function floats(base64: string): Float32Array {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

/** The 99th percentile: one outlier doesn't pale all others. */
function highest(values: Float32Array): number {
  return values.sort()[Math.floor(0.99 * (values.length - 1))] ?? 0;
}
