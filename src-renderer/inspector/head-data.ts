import type { AdapterDetail, AdapterHead } from '../../src-preload/contract/index.ts';
import { RunData } from '../run/run-data.ts';

const NOWHERE = { attempt: 0, metrics: 0, heads: 0, samples: 0, log: 0 };

/** A finished adapter's heads as the head map takes them: one frame, the heads in `off` struck through. */
export function headData(
  { heads, blocks }: Pick<AdapterDetail, 'heads' | 'blocks'>,
  off: ReadonlySet<string>,
): RunData {
  const data = new RunData();
  const bits = new Uint8Array(Math.ceil(heads.length / 8));
  heads.forEach(({ name, dropped }, index) => {
    if (dropped || off.has(name)) bits[index >> 3]! |= 1 << (index & 7);
  });
  const importance = Float32Array.from(heads, (head) => head.importance);
  data.take({ kind: 'names', names: heads.map(({ name }) => name), blocks });
  const frame = { step: 1, importance: base64(new Uint8Array(importance.buffer)), frozen: base64(bits), share: '' };
  data.take({ kind: 'heads', frames: [frame], position: NOWHERE });
  return data;
}

function base64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}

/** Heads that are there, the least important first; equal ones in their own order. */
export function leastFirst(heads: AdapterHead[]): string[] {
  const here = heads.filter(({ dropped }) => !dropped);
  return here
    .map((head, at) => ({ ...head, at }))
    .sort((a, b) => a.importance - b.importance || a.at - b.at)
    .map(({ name }) => name);
}

/** The loss between measured points of a curve; undefined outside of them. */
export function lossAt(points: { ratio: number; loss: number }[], ratio: number): number | undefined {
  const sorted = [...points].sort((a, b) => a.ratio - b.ratio);
  const after = sorted.findIndex((point) => point.ratio >= ratio);
  if (after < 0) return undefined;
  const [low, high] = [sorted[Math.max(0, after - 1)]!, sorted[after]!];
  if (high.ratio === ratio || after === 0) return after === 0 && high.ratio > ratio ? undefined : high.loss;
  const share = (ratio - low.ratio) / (high.ratio - low.ratio);
  return low.loss + share * (high.loss - low.loss);
}
