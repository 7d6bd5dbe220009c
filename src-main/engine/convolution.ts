import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { frozenTransposed, packedKernels } from './frozen.ts';
import type { ImplicitRows } from './implicit-rows.ts';
import type { Convolved, PackedMatrix } from './packed.ts';

/** How a filter goes over a picture: rows and columns of zeros before and behind it, and pixels a step. */
export interface Walk {
  padding: [before: number, after: number];
  stride: 1 | 2;
}

/** A 3 x 3 filter that leaves the size as it is. */
export const IN_PLACE: Walk = { padding: [1, 1], stride: 1 };

/** A frozen filter in the engine's own memory: of each channel that comes out a row [kernel * kernel * in], by its places and then its channels. */
export interface PackedFilter {
  matrix: PackedMatrix;
  kernel: number;
}

/** [kernel, kernel, in, out] in f32, or packed */
export type FrozenFilter = Tensor4D | PackedFilter;

const isPacked = (filter: FrozenFilter): filter is PackedFilter => !(filter instanceof tf.Tensor);

/** The width and height of a filter, pixels. */
export const kernelOf = (filter: FrozenFilter): number => (isPacked(filter) ? filter.kernel : filter.shape[0]);

/** [kernel * kernel * in, out], by its places and then its channels; the caller disposes it. */
export const flatFilter = (filter: FrozenFilter): Tensor2D =>
  isPacked(filter) ? frozenTransposed(filter.matrix) : tf.reshape(filter, [-1, filter.shape[3]]);

/** x [pictures, height, width, in] with a frozen filter. No gradient flows to the filter, and x is not kept for backward. */
export function frozenConvolution(x: Tensor4D, filter: FrozenFilter, walk: Walk): Tensor4D {
  if (isPacked(filter)) return packedConvolution(x, filter, walk);
  return tf.customGrad((input, save) => {
    (save as tf.GradSaveFunc)([filter]);
    return {
      value: convolved(input as Tensor4D, filter, walk),
      gradFunc: (dy: Tensor, [kept]: Tensor[]) => inputGradient(x.shape, dy as Tensor4D, kept as Tensor4D, walk),
    };
  })(x) as Tensor4D;
}

function packedConvolution(
  x: Tensor4D,
  { matrix, kernel }: PackedFilter,
  { padding: [before, after], stride }: Walk,
): Tensor4D {
  const [, height, width] = x.shape;
  const [rows, columns] = [height, width].map((size) => Math.floor((size + before + after - kernel) / stride) + 1) as [number, number]; // prettier-ignore
  const run = packedKernels()!.convolution!;
  return tf.customGrad((input) => ({
    value: run(input as Tensor4D, matrix, { kernel, stride, before, rows, columns }, false),
    gradFunc: (dy: Tensor) =>
      run(dy as Tensor4D, matrix, { kernel, stride, before, rows: height, columns: width }, true),
  }))(x) as Tensor4D;
}

/** The convolution that packed kernels are asked for (PackedKernels), of the engines' own operations with the filter's numbers. */
export function composedConvolution(x: Tensor4D, filter: Tensor4D, told: Convolved, gradient: boolean): Tensor4D {
  const { kernel, stride, before, rows, columns } = told;
  const [picture, places] = [
    [x.shape[1], x.shape[2]],
    [rows, columns],
  ];
  const [sizes, counts] = gradient ? [places, picture] : [picture, places];
  // As many zeros behind as its last place needs.
  const missing = sizes.map((size, i) => (counts[i]! - 1) * stride + kernel - before - size);
  const walk = { padding: [before, Math.max(0, ...missing)], stride } as Walk;
  if (!gradient) return convolved(x, filter, walk);
  return inputGradient([x.shape[0], rows, columns, filter.shape[2]], x, filter, walk);
}

/** The same with a filter that learns: gradients flow to both, and x is kept for that. */
export function learnedConvolution(x: Tensor4D, filter: Tensor4D, walk: Walk): Tensor4D {
  return tf.customGrad((...args) => {
    const [input, own, save] = args as unknown as [Tensor4D, Tensor4D, tf.GradSaveFunc];
    save([input, own]);
    return {
      value: convolved(input, own, walk),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [kept, last] = saved as [Tensor4D, Tensor4D];
        return [inputGradient(kept.shape, dy as Tensor4D, last, walk), filterGradient(kept, dy as Tensor4D, last.shape[0], walk)]; // prettier-ignore
      },
    };
  })(x, filter) as Tensor4D;
}

/** What a filter sees at each of its places, as rows of kernel * kernel * channels numbers: row by row of the filter, channels last. */
export class Patches implements ImplicitRows {
  constructor(
    private readonly x: Tensor4D,
    private readonly kernel: number,
    private readonly walk: Walk,
  ) {}

  times(matrix: Tensor2D): Tensor2D {
    const { x, kernel, walk } = this;
    return tf.tidy(() => {
      const filter = tf.reshape(tf.transpose(matrix), [kernel, kernel, x.shape[3], matrix.shape[0]]) as Tensor4D;
      return tf.reshape(learnedConvolution(x, filter, walk), [-1, matrix.shape[0]]);
    });
  }

  written(): Tensor2D {
    const { x, kernel, walk } = this;
    return tf.tidy(() => {
      const all = tf.concat(seen(x, kernel, walk), 3);
      return tf.reshape(all, [-1, all.shape[3]]);
    });
  }

  changed(f: (values: Tensor2D, perValue: Tensor2D) => Tensor2D, perRow: Tensor2D): Patches {
    const { x, kernel, walk } = this;
    const [pictures, height, width, channels] = x.shape;
    const { stride } = walk;
    const changed = tf.tidy(() => {
      const own = tf.reshape(perRow, [pictures, height / stride, width / stride, 1]) as Tensor4D;
      const perPixel = tf.reshape<tf.Rank.R2>(stride === 1 ? own : doubled(own), [-1, 1]);
      return tf.reshape<tf.Rank.R4>(f(tf.reshape(x, [-1, channels]), perPixel), x.shape);
    });
    return new Patches(changed, kernel, walk);
  }
}

/** How the engines' own convolution is told a walk, and what is padded before it. */
function toldOf(
  shape: Tensor4D['shape'],
  kernel: number,
  walk: Walk,
): { padding: 'same' | 'valid'; before: number; after: number } {
  const isSame = isSamePadding(shape, kernel, walk);
  const [before, after] = isSame ? [0, 0] : walk.padding;
  return { padding: isSame ? 'same' : 'valid', before, after };
}

const padded = (x: Tensor4D, before: number, after: number): Tensor4D =>
  before + after === 0 ? x : tf.pad(x, [[0, 0], [before, after], [before, after], [0, 0]]); // prettier-ignore

function convolved(x: Tensor4D, filter: Tensor4D, walk: Walk): Tensor4D {
  const { padding, before, after } = toldOf(x.shape, filter.shape[0], walk);
  return tf.tidy(() => tf.conv2d(padded(x, before, after), filter, walk.stride, padding));
}

function inputGradient(shape: Tensor4D['shape'], dy: Tensor4D, filter: Tensor4D, walk: Walk): Tensor4D {
  const { padding, before, after } = toldOf(shape, filter.shape[0], walk);
  const [pictures, height, width, channels] = shape;
  return tf.tidy(() => {
    const whole: [number, number, number, number] = [pictures, height + before + after, width + before + after, channels]; // prettier-ignore
    const dx = tf.conv2dTranspose(dy, filter, whole, walk.stride, padding);
    return before + after === 0 ? dx : tf.slice(dx, [0, before, before, 0], shape);
  });
}

function filterGradient(x: Tensor4D, dy: Tensor4D, kernel: number, walk: Walk): Tensor4D {
  const { padding, before, after } = toldOf(x.shape, kernel, walk);
  const [channels, out] = [x.shape[3], dy.shape[3]];
  const filterShape: [number, number, number, number] = [kernel, kernel, channels, out];
  return tf.tidy(() => {
    if (tf.getKernel('Conv2DBackpropFilter', tf.getBackend())) {
      const options = { strides: walk.stride, pad: padding, dataFormat: 'NHWC', filterShape };
      return tf.engine().runKernel('Conv2DBackpropFilter', { x: padded(x, before, after), dy }, options) as Tensor4D;
    }
    // WebAssembly has none: of each of the filter's places a product.
    const upstream = tf.reshape<tf.Rank.R2>(dy, [-1, out]);
    const places = seen(x, kernel, walk).map((part) => tf.matMul(tf.reshape(part, [-1, channels]), upstream, true));
    return tf.reshape(tf.stack(places), filterShape);
  });
}

/** What each place of a filter sees, [pictures, out height, out width, channels] each, row by row. */
function seen(x: Tensor4D, kernel: number, { padding: [before, after], stride }: Walk): Tensor4D[] {
  const whole = padded(x, before, after);
  const [pictures, height, width, channels] = whole.shape;
  const [rows, columns] = [height, width].map((size) => Math.floor((size - kernel) / stride) + 1) as [number, number];
  return Array.from({ length: kernel ** 2 }, (_, place) => {
    const [top, left] = [Math.floor(place / kernel), place % kernel];
    const end = [pictures, top + (rows - 1) * stride + 1, left + (columns - 1) * stride + 1, channels];
    return tf.stridedSlice(whole, [0, top, left, 0], end, [1, stride, stride, 1]) as Tensor4D;
  });
}

/** Whether the engines' own "same" pads like that: all that is missing, the odd row behind. */
function isSamePadding(shape: Tensor4D['shape'], kernel: number, { padding, stride }: Walk): boolean {
  return [shape[1], shape[2]].every((size) => {
    const missing = Math.max(0, (Math.ceil(size / stride) - 1) * stride + kernel - size);
    return padding[0] === Math.floor(missing / 2) && padding[1] === Math.ceil(missing / 2);
  });
}

/** Each pixel four times, [pictures, 2 height, 2 width, channels]: nearest-neighbour upsampling. */
export function doubled(x: Tensor4D): Tensor4D {
  return tf.tidy(() => {
    const [pictures, height, width, channels] = x.shape;
    // A row beside itself, in memory, is what broadcasting would give; this way it is two copies.
    const wide = tf.reshape(tf.concat([x, x], 3), [pictures, height, 2 * width * channels]);
    return tf.reshape(tf.concat([wide, wide], 2), [pictures, 2 * height, 2 * width, channels]);
  });
}
