import type { SitePart } from '../names.ts';

/** What a tensor of an adapter is: a part of what acts at a site (names.ts), or a tensor of the model trained whole. */
export type TensorRole = SitePart | 'whole';

/** What a tensor holds before the first step: numbers drawn by seed and name, or one number. */
export type Start =
  { kind: 'uniform'; bound: number } | { kind: 'normal'; deviation: number } | { kind: 'constant'; value: number };

/** One tensor of an adapter under its name and shape in `adapter.safetensors` (docs/method.md, Adapter file). */
export interface TensorSpec {
  name: string;
  role: TensorRole;
  shape: number[];
  /** width of the input it reads; of the output for magnitudes; the last axis of a whole one */
  width: number;
  /** the layer it belongs to; undefined where layers share it */
  layer?: number;
  start: Start;
  /** drawn once and never trained; still in the file, as nothing else says its numbers */
  isFrozen?: boolean;
}

/** The names of the tensors that act at one site. */
export type SiteTensors = { A: string; B: string } & Partial<Record<SitePart, string>>;

export const ZEROS: Start = { kind: 'constant', value: 0 };

/** Its rows and columns in memory: B [N * r, out] (layout.ts), what weighs rows [r, 1], what weighs outputs [1, out]. */
export function memoryShape({ role, shape, width }: Pick<TensorSpec, 'role' | 'shape' | 'width'>): [number, number] {
  switch (role) {
    case 'whole':
      return [shape.reduce((size, axis) => size * axis, 1) / width, width];
    case 'B':
      return [shape[0]! * shape[2]!, shape[1]!];
    case 'magnitude':
    case 'lambda_b':
      return [1, shape[0]!];
    case 'lambda':
    case 'lambda_d':
      return [shape[0]!, 1];
    default:
      return [shape[0]!, shape[1]!];
  }
}
