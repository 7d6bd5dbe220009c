import type { AdapterEntry } from '../../src-preload/contract/index.ts';
import type { Column } from './conversation.ts';

type With = Pick<Column, 'leaveOut' | 'form' | 'strength'> & { label: string; suffix: string };

/** How much of an adapter is painted with: all that was learned, a share of it, less of its heads, or what goes into other programs' files. */
export const PAINTED_AS = {
  whole: { label: 'whole', suffix: '' },
  most: { label: 'at three quarters of its strength', suffix: ' at three quarters of its strength', strength: 0.75 },
  some: { label: 'at half of its strength', suffix: ' at half of its strength', strength: 0.5 },
  three: { label: 'without a quarter of its heads', suffix: ' without a quarter of its heads', leaveOut: 0.25 },
  half: { label: 'without half of its heads', suffix: ' without half of its heads', leaveOut: 0.5 },
  one: { label: 'without three quarters of its heads', suffix: ' without three quarters of its heads', leaveOut: 0.75 },
  narrow: { label: 'as exported, small', suffix: ' as exported, small', form: 'rank-r' },
  wide: { label: 'as exported, close', suffix: ' as exported, close', form: 'rank-nr' },
} as const satisfies Record<string, With>;
export type PaintedAs = keyof typeof PAINTED_AS;

const BASE: Column = { adapter: null, name: 'Base model' };

/** A column of an adapter; the base model's without one. */
export function asColumn(adapter: Pick<AdapterEntry, 'id' | 'name'> | undefined, as: PaintedAs): Column {
  if (!adapter) return BASE;
  const { suffix, leaveOut, form, strength }: With = PAINTED_AS[as];
  return { adapter: adapter.id, name: `${adapter.name}${suffix}`, leaveOut, form, strength };
}

/** The base model, the adapter as it is, with half of its heads, and as an export paints: from one seed, what each step costs. */
export const sideBySide = (adapter: Pick<AdapterEntry, 'id' | 'name'>): Column[] => [
  BASE,
  ...(['whole', 'half', 'narrow'] as const).map((as) => asColumn(adapter, as)),
];
