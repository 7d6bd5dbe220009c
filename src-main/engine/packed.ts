import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';

/** A matrix in a file, rows one after the other. `order`: row i of the matrix is row order[i] of the file. */
export interface MatrixSource {
  path: string;
  /** bytes from the start of the file */
  offset: number;
  /** GGML's number of the type in the file */
  format: number;
  rows: number;
  width: number;
  order?: number[];
  /** a row lies as [width / places, places] and is kept as [places, width / places]: a filter's channels come last */
  places?: number;
}

/** A filter's way over pictures [pictures, height, width, channels], and the size of what comes out: [pictures, rows, columns, .]. */
export interface Convolved {
  kernel: number;
  stride: number;
  /** rows and columns of zeros before the first */
  before: number;
  rows: number;
  columns: number;
}

/** One layer's attention over a sequence that the engine keeps. */
export interface CachedAttentionOptions {
  heads: number;
  keyValueHeads: number;
  scale: number;
  /** tokens; undefined = full attention */
  window?: number;
}

/** What an engine offers for frozen weights that stay in the blocks of their file. Matrices go by numbers, as int32 tensors. */
export interface PackedKernels {
  /**
   * whether it keeps a matrix of one format in another (GGML's numbers of them); `own`: for what tensors of f32 can't be used with, products
   * in integers and convolutions of its own
   */
  holds(inFile: number, format: number, own?: boolean): boolean;
  /** reads a matrix from its file into the engine's memory, in another format where asked for */
  load(source: MatrixSource, format: number): Promise<number>;
  /** frees a matrix (or a sequence) */
  release(number: number): void;
  /** x W^T [tokens, rows]; with `gradient` x W [tokens, width] */
  product(x: Tensor2D, weight: PackedMatrix, gradient: boolean): Tensor2D;
  /** x W^T + bias in one pass, where the engine has that */
  linear?(x: Tensor2D, weight: PackedMatrix, bias: Tensor1D): Tensor2D;
  /** the product with both factors in integers (engine/integer-product.ts has its numbers) */
  integerProduct(x: Tensor2D, weight: PackedMatrix, gradient: boolean): Tensor2D;
  /**
   * x convolved with a filter [out, kernel * kernel * in] by its places and then its channels, where the engine has that; with `gradient`
   * from what came out back to what went in
   */
  convolution?(x: Tensor4D, weight: PackedMatrix, walk: Convolved, gradient: boolean): Tensor4D;
  rows(ids: Tensor1D, weight: PackedMatrix): Tensor2D;
  unpack(weight: PackedMatrix): Tensor2D;
  /** sum of -log softmax(x W^T)[label], and its gradient to x; a negative label has none */
  loss(x: Tensor2D, weight: PackedMatrix, labels: Tensor1D): [Scalar, Tensor2D];
  /** the same with both products in integers */
  integerLoss(x: Tensor2D, weight: PackedMatrix, labels: Tensor1D): [Scalar, Tensor2D];
  /** log softmax(x W^T)[label]; 0 where the label is negative */
  logProbabilities(x: Tensor2D, weight: PackedMatrix, labels: Tensor1D): Tensor1D;
}

/** Beside that, sequences that the engine keeps. They go by numbers, too. */
export interface SequenceKernels extends PackedKernels {
  /** the number of an empty sequence */
  openSequence(layers: number): number;
  /** takes k and v in and gives attention over all that q sees; place: number, first position, tokens that are no padding */
  attend(
    q: Tensor2D,
    k: Tensor2D,
    v: Tensor2D,
    place: Tensor1D,
    layer: Tensor1D,
    options: CachedAttentionOptions,
  ): Tensor2D;
}

/** Whether an engine keeps sequences. */
export const keepsSequences = (kernels: PackedKernels): kernels is SequenceKernels => 'openSequence' in kernels;

/** GGML's numbers of f32, f16 and bf16. */
const FLOATING = [0, 1, 30];

/** A frozen matrix [rows, width] in the engine's own memory, in a GGUF format. Dispose it. */
export class PackedMatrix {
  private constructor(
    readonly shape: [number, number],
    /** GGML's number of its type */
    readonly format: number,
    /** [1] int32: what operations are given for it */
    readonly number: Tensor1D,
    private readonly kernels: PackedKernels,
  ) {}

  /** @throws where the file ends before the matrix does */
  static async load(kernels: PackedKernels, source: MatrixSource, format: number): Promise<PackedMatrix> {
    const number = await kernels.load(source, format);
    return new PackedMatrix([source.rows, source.width], format, tf.keep(tf.tensor1d([number], 'int32')), kernels);
  }

  /** whether its numbers are integers with scales: not f32, f16 or bf16 */
  get isInBlocks(): boolean {
    return !FLOATING.includes(this.format);
  }

  dispose(): void {
    if (this.number.isDisposed) return;
    this.kernels.release(this.number.dataSync()[0]!);
    this.number.dispose();
  }
}

/** A frozen matrix [rows, width]: f32, or packed. */
export type FrozenMatrix = Tensor2D | PackedMatrix;
