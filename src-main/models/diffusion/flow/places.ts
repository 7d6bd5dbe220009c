import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import type { RopeTables } from '../../block.ts';
import type { FlowTransformerConfig } from './config.ts';
import type { Seen } from './layout.ts';

/** Sequences are filled up to multiples of it (diffusers: SEQ_MULTI_OF). */
export const MULTIPLE = 32;
export const filledUp = (tokens: number): number => Math.ceil(tokens / MULTIPLE) * MULTIPLE;

/** How many tokens there are: patches a column and a row, and of each text with what it is filled up by. */
export interface FlowSize {
  pictures: number;
  rows: number;
  columns: number;
  text: number;
}

/** Where the tokens of some pictures and their texts stand. Of each kind they lie picture after picture, patches before text. */
export interface FlowPlaces {
  rope: Record<Seen, RopeTables>;
  /** of the text's tokens: 1, or 0 where it is filled up, [pictures * text, 1] */
  isText: Tensor2D;
  /** 1, or 0 for what lies behind a shorter text's own filling, [pictures * tokens, 1]; undefined: all are seen */
  shown?: Record<'text' | 'both', Tensor2D>;
}

/** Cosines and sines of every place on each axis, [places, features / 2]; they live as long as the model. */
export interface AxisTables {
  cos: Tensor2D;
  sin: Tensor2D;
}

/** Angles as PyTorch rounds them: made in double precision, kept in single. */
export function axisTables({ rope }: FlowTransformerConfig): AxisTables[] {
  return rope.axes.map(({ features, length }) => {
    const half = features / 2;
    const inverse = Float64Array.from({ length: half }, (_, i) => rope.theta ** ((-2 * i) / features));
    const angles = Float32Array.from({ length: length * half }, (_, at) => Math.floor(at / half) * inverse[at % half]!);
    const table = (of: (angle: number) => number) => tf.keep(tf.tensor2d(angles.map(of), [length, half]));
    return { cos: table(Math.cos), sin: table(Math.sin) };
  });
}

/**
 * A text's tokens stand at 1, 2, ... of the first axis, its filling, too; the patches behind them all at one place of it, and by their row
 * and column on the others. What a picture is filled up by stands at 0 of all.
 * @param used tokens of each text, [pictures, 1]
 */
export function flowPlaces(
  tables: AxisTables[],
  used: Tensor2D,
  { pictures, rows, columns, text }: FlowSize,
): FlowPlaces {
  const filled = tf.mul<Tensor2D>(tf.ceil(tf.div(used, MULTIPLE)), MULTIPLE);
  const behind = tf.cast(tf.reshape(tf.add(filled, 1), [pictures]), 'int32');
  const patches = rows * columns;
  const more = filledUp(patches) - patches;
  const one = (part: 'cos' | 'sin') => {
    const [text0, rows0, columns0] = tables.map((table) => table[part]) as [Tensor2D, Tensor2D, Tensor2D];
    const [a, b, c] = [text0, rows0, columns0].map(({ shape }) => shape[1]) as [number, number, number];
    const standing = (shape: number[]) => tf.fill(shape, part === 'cos' ? 1 : 0);
    const first = tf.slice(text0, [1, 0], [text, a]);
    const ofText = tf.tile(tf.expandDims(tf.concat([first, standing([text, b + c])], 1), 0), [pictures, 1, 1]);
    const byPicture = tf.tile(tf.expandDims(tf.gather(text0, behind), 1), [1, patches, 1]);
    const byRow = tf.reshape(tf.tile(tf.expandDims(tf.slice(rows0, [0, 0], [rows, b]), 1), [1, columns, 1]), [patches, b]); // prettier-ignore
    const byColumn = tf.tile(tf.slice(columns0, [0, 0], [columns, c]), [rows, 1]);
    const ofPatches = tf.tile(tf.expandDims(tf.concat([byRow, byColumn], 1), 0), [pictures, 1, 1]);
    const own: Tensor = tf.concat([byPicture, ofPatches], 2);
    const ofPicture = more > 0 ? tf.concat([own, standing([pictures, more, a + b + c])], 1) : own;
    const flat = (x: Tensor) => tf.reshape(x, [-1, a + b + c]) as Tensor2D;
    return { picture: flat(ofPicture), text: flat(ofText), both: flat(tf.concat([ofPicture, ofText], 1)) };
  };
  const [cos, sin] = [one('cos'), one('sin')];
  const rope = (sees: Seen) => ({ cos: cos[sees], sin: sin[sees] });
  const index = tf.reshape(tf.range(0, text, 1, 'float32'), [1, text]);
  const before = (ends: Tensor2D) => tf.cast(tf.less(index, ends), 'float32') as Tensor2D;
  const shownText = before(filled);
  const column = (x: Tensor) => tf.reshape(x, [-1, 1]) as Tensor2D;
  return {
    rope: { picture: rope('picture'), text: rope('text'), both: rope('both') },
    isText: column(before(used)),
    // A text alone is filled up to its own length and no further.
    ...(pictures > 1 && {
      shown: { text: column(shownText), both: column(tf.concat([tf.ones([pictures, patches + more]), shownText], 1)) },
    }),
  };
}
