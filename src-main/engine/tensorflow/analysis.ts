import type { Precision } from '../compiler.ts';
import { DataType } from './addon.ts';
import type { RecordedNode, Ref } from './recorder.ts';

/**
 * Type attributes of our own operations: of their inputs in order (undefined = f32 only), and of their outputs. `numbers`: inputs
 * that name what lies in our own memory; a repeated part takes them from outside, so that one function serves every layer.
 */
export const OWN: Record<string, { inputs: (string | undefined)[]; output?: string; numbers?: number[] }> = {
  StudioRmsNorm: { inputs: ['T'], output: 'U' },
  StudioRmsNormGrad: { inputs: ['T', 'U'] },
  StudioLayerNorm: { inputs: ['T', undefined, undefined], output: 'U' },
  StudioLayerNormGrad: { inputs: ['T', 'U', undefined] },
  StudioGroupNorm: { inputs: [undefined, undefined, undefined, undefined] },
  StudioGroupNormGrad: { inputs: [undefined, undefined, undefined, undefined, undefined, undefined] },
  StudioRotary: { inputs: ['T'], output: 'U' },
  StudioGated: { inputs: ['T', 'U'], output: 'V' },
  StudioGatedGrad: { inputs: ['T', 'U', 'V'], output: 'W' },
  StudioActivation: { inputs: ['T'], output: 'U' },
  StudioActivationGrad: { inputs: ['T', 'U'], output: 'V' },
  StudioAttention: { inputs: ['T', 'U', 'V'], output: 'W' },
  StudioAttentionGrad: { inputs: ['T', 'U', 'V', undefined, 'W', undefined, 'X'], output: 'Y' },
  StudioLoss: { inputs: ['T', 'U'] },
  StudioProductAdd: { inputs: ['T', 'U', 'V'], output: 'W' },
  StudioBlockProduct: { inputs: [undefined, 'T'] },
  StudioPackedProduct: { inputs: ['T', undefined], output: 'U', numbers: [1] },
  StudioPackedLinear: { inputs: ['T', undefined, undefined], output: 'U', numbers: [1] },
  StudioConvolution: { inputs: [undefined, undefined], numbers: [1] },
  StudioIntegerProduct: { inputs: [undefined, undefined], numbers: [1] },
  StudioPackedLoss: { inputs: ['T', undefined, undefined] },
  StudioLogProbabilities: { inputs: ['T', undefined, undefined] },
  StudioCachedAttention: { inputs: ['T', 'U', 'V', undefined, undefined], output: 'W', numbers: [4] },
  StudioUnpack: { inputs: [undefined], numbers: [0] },
  StudioSum: { inputs: ['T', 'U'], output: 'W' },
  StudioSum3: { inputs: ['T', 'U', 'V'], output: 'W' },
  StudioSum4: { inputs: ['T', 'U', 'V', 'X'], output: 'W' },
};
/**
 * Operations that write what products in integers take, and which of their outputs: each has a form `...Rounded` that puts these in
 * integers, too, behind its outputs and in their order.
 */
export const ROUNDS: Record<string, number[]> = {
  StudioRmsNorm: [0],
  StudioLayerNorm: [0],
  StudioGated: [0],
  StudioGatedGrad: [0, 1],
  StudioActivation: [0],
  StudioActivationGrad: [0],
  StudioAttention: [0],
};
const isForwardInIntegers = ({ operation, attributes }: RecordedNode): boolean =>
  operation === 'StudioIntegerProduct' && attributes.some(({ name, value }) => name === 'gradient' && value === 0);
/** Up to so many tokens go into a product in integers as they are (addon/kernels.h, kFewTokens). */
const FEW_TOKENS = 8;
const PACKED_PRODUCTS = ['StudioPackedProduct', 'StudioPackedLinear'];
const LOSSES = ['StudioLoss', 'StudioPackedLoss', 'StudioLogProbabilities'];
/** Outputs of our operations that stay f32 whatever the others are. */
export const ALWAYS_F32: Record<string, number[]> = { StudioAttention: [1] };

/** Products below this many multiplications stay f32: the casts would cost more than bf16 saves. */
const SMALLEST_BF16_PRODUCT = 1 << 22;
/** Products below this many multiplications are left to TensorFlow; above, waking its threads beside ours costs more than packing. */
const SMALLEST_OWN_PRODUCT = 1 << 17;
/** A product over so few numbers is cheaper inside the sum that takes it. */
const SMALL_INNER = 64;
/** Of a product over so few numbers a strip lies in the nearest cache beside one of another product. */
const LARGEST_JOINED = 128;

const size = (shape: number[]) => shape.reduce((a, b) => a * b, 1);
const sameShape = (a: number[], b: number[]) => a.length === b.length && a.every((n, i) => n === b[i]);
const shapeOf = ({ node, output }: Ref) => node.outputs[output]!.shape;
/** Whether a value has so few tokens that its products in integers take them as they are. */
export const isFew = (ref: Ref): boolean => shapeOf(ref)[0]! <= FEW_TOKENS;
export const typeOf = ({ node, output }: Ref): number => node.outputs[output]!.dtype;
export const flag = (node: RecordedNode, ...names: string[]): boolean =>
  node.attributes.some(({ name, value }) => names.includes(name) && value === true);

export function isMatrixProduct(node: RecordedNode): boolean {
  return (
    (node.operation === 'BatchMatMulV2' || node.operation === 'MatMul') &&
    node.inputs.every((input) => shapeOf(input).length === 2 && typeOf(input) === DataType.float)
  );
}

/** Inner size of a matrix product. */
function inner(node: RecordedNode): number {
  return shapeOf(node.inputs[0]!)[flag(node, 'adj_x', 'transpose_a') ? 0 : 1]!;
}

/** One use of a value: input `input` of `node` takes its output `output`. */
export interface Use {
  node: RecordedNode;
  input: number;
  output: number;
}

/** A sum of several terms and of small products. */
export interface Sum {
  terms: Ref[];
  products: RecordedNode[];
}

/** scale * a b, which a product in integers adds on its way. */
export interface Joined {
  a: Ref;
  b: Ref;
  scale: number;
}

/**
 * What is to become of a record before anything of it is emitted: which nodes count, which sums and products become one pass,
 * and which values are bf16. Nothing is joined across the border of a repeated part.
 */
export class Analysis {
  readonly live: RecordedNode[];
  readonly sums = new Map<RecordedNode, Sum>();
  /** nodes that another node's pass does */
  readonly absorbed = new Set<RecordedNode>();
  /** small products that a product in integers adds on its way */
  readonly joined = new Map<RecordedNode, Joined>();
  private readonly users = new Map<RecordedNode, Use[]>();
  private readonly inBf16 = new Map<RecordedNode, boolean>();

  constructor(
    nodes: RecordedNode[],
    private readonly roots: Ref[],
    private readonly precision: Precision,
    /** `fused`: the engine has our own operations, products among them */
    private readonly offers: { fused: boolean },
  ) {
    const needed = new Set(roots.map(({ node }) => node));
    for (const node of [...nodes].reverse()) {
      if (!needed.has(node)) continue;
      for (const { node: input } of node.inputs) needed.add(input);
    }
    this.live = nodes.filter((node) => needed.has(node));
    for (const node of this.live) {
      node.inputs.forEach(({ node: from, output }, input) => {
        const list = this.users.get(from) ?? [];
        list.push({ node, input, output });
        this.users.set(from, list);
      });
    }
    if (offers.fused) for (const node of this.live) this.findSum(node);
    for (const node of this.live) this.joinIntoIntegers(node);
  }

  usersOf(node: RecordedNode): Use[] {
    return this.users.get(node) ?? [];
  }

  isRoot(node: RecordedNode): boolean {
    return this.roots.some((root) => root.node === node);
  }

  /** The products in integers of the same few tokens in one part, this one among them, up to three; one alone where there are more tokens. */
  ofTheSameFew(product: RecordedNode): RecordedNode[] {
    const [x] = product.inputs as [Ref];
    if (!isFew(x)) return [product];
    const all = this.usersOf(x.node).filter(
      ({ node, output }) =>
        output === x.output && node.part === product.part && isForwardInIntegers(node) && !this.joined.has(node),
    );
    const at = all.findIndex(({ node }) => node === product);
    return at < 0 ? [product] : all.slice(at - (at % 3), at - (at % 3) + 3).map(({ node }) => node);
  }

  /** Whether products in integers of its part take all that this node could put in integers. */
  isRounded(node: RecordedNode): boolean {
    const isTaken = (output: number) =>
      !isFew({ node, output }) &&
      this.usersOf(node).some(
        (use) =>
          use.output === output &&
          use.input === 0 &&
          use.node.operation === 'StudioIntegerProduct' &&
          use.node.part === node.part,
      );
    return ROUNDS[node.operation]?.every(isTaken) ?? false;
  }

  // ---- sums ----

  private isSum(node: RecordedNode): boolean {
    const shape = node.outputs[0]!.shape;
    return (
      ['Add', 'AddV2', 'AddN'].includes(node.operation) &&
      shape.length === 2 &&
      size(shape) >= 4096 &&
      node.inputs.every((input) => typeOf(input) === DataType.float && sameShape(shapeOf(input), shape))
    );
  }

  private usedOnlyBy(node: RecordedNode, user: RecordedNode): boolean {
    return node.part === user.part && this.usersOf(node).length === 1 && !this.isRoot(node);
  }

  /** Takes the terms of sums that only go into this one, and small products among them. */
  private findSum(node: RecordedNode): void {
    if (!this.isSum(node)) return;
    const terms: Ref[] = [];
    const products: RecordedNode[] = [];
    for (const input of node.inputs) {
      const inner_ = this.sums.get(input.node);
      if (inner_ && this.usedOnlyBy(input.node, node)) {
        terms.push(...inner_.terms);
        products.push(...inner_.products);
        this.sums.delete(input.node);
        this.absorbed.add(input.node);
      } else if (this.isSmallProduct(input.node) && this.usedOnlyBy(input.node, node)) {
        products.push(input.node);
        this.absorbed.add(input.node);
      } else {
        terms.push(input);
      }
    }
    if (terms.length === 0) {
      const product = products.shift()!;
      this.absorbed.delete(product);
      terms.push({ node: product, output: 0 });
    }
    this.sums.set(node, { terms, products });
  }

  /** Small products that are added to products in integers: those go through memory once less. */
  private joinIntoIntegers(node: RecordedNode): void {
    if (node.operation === 'StudioProductAdd') {
      const [y, a, b] = node.inputs as [Ref, Ref, Ref];
      const scale = node.attributes.find(({ name }) => name === 'scale')!.value as number;
      if (shapeOf(a)[1]! <= LARGEST_JOINED && this.isOnlyTerm(y.node, node)) this.join(y.node, { a, b, scale });
      return;
    }
    const sum = this.sums.get(node);
    if (!sum) return;
    const free = sum.terms.filter((term) => this.isOnlyTerm(term.node, node));
    for (const product of sum.products.splice(0, free.length)) {
      const [a, b] = product.inputs as [Ref, Ref];
      this.join(free.shift()!.node, { a, b, scale: 1 });
    }
  }

  private isOnlyTerm(term: RecordedNode, of: RecordedNode): boolean {
    const isFree = term.operation === 'StudioIntegerProduct' && !this.joined.has(term) && !this.isRoot(term);
    return isFree && term.part === of.part && this.usersOf(term).length === 1;
  }

  private join(product: RecordedNode, joined: Joined): void {
    this.joined.set(product, joined);
    this.absorbed.add(product);
  }

  private isSmallProduct(node: RecordedNode): boolean {
    return (
      isMatrixProduct(node) && inner(node) <= SMALL_INNER && !flag(node, 'adj_x', 'adj_y', 'transpose_a', 'transpose_b')
    );
  }

  // ---- precision ----

  /** Whether our own operation makes this product. */
  isOwnProduct(node: RecordedNode): boolean {
    if (!this.offers.fused || !(isMatrixProduct(node) || node.operation === 'StudioProductAdd')) return false;
    const depth = node.operation === 'StudioProductAdd' ? shapeOf(node.inputs[1]!)[1]! : inner(node);
    return size(node.outputs[0]!.shape) * depth >= SMALLEST_OWN_PRODUCT;
  }

  isBf16Product(node: RecordedNode): boolean {
    if (this.precision !== 'bf16') return false;
    if (PACKED_PRODUCTS.includes(node.operation)) return true;
    if (!isMatrixProduct(node)) return false;
    const known = this.inBf16.get(node);
    if (known !== undefined) return known;
    const result = size(node.outputs[0]!.shape) * inner(node) >= SMALLEST_BF16_PRODUCT;
    this.inBf16.set(node, result);
    return result;
  }

  /** Whether our operations take their f32 operands as bf16 alone instead of in two parts. */
  get unsplit(): boolean {
    return this.precision === 'bf16';
  }

  private isLowLoss(node: RecordedNode): boolean {
    return LOSSES.includes(node.operation) && this.precision === 'bf16';
  }

  /** Whether this use of a value takes it in bf16 as well as in f32. */
  private takesBf16({ node, input }: Use): boolean {
    if (this.sums.has(node) || this.absorbed.has(node)) return true;
    if (node.operation in OWN) return OWN[node.operation]!.inputs[input] !== undefined;
    return this.isBf16Product(node) || this.isOwnProduct(node);
  }

  /** The type a node's typed outputs have: bf16 where every use takes it and a product wants it. */
  outputType(node: RecordedNode): number {
    if (this.precision !== 'bf16' || this.isRoot(node)) return DataType.float;
    const users = this.usersOf(node).filter(({ output }) => !ALWAYS_F32[node.operation]?.includes(output));
    if (this.sums.has(node) && !users.every((user) => this.isBf16Product(user.node))) return DataType.float;
    return users.length > 0 && users.every((user) => this.takesBf16(user)) ? DataType.bfloat16 : DataType.float;
  }

  /** True if every use of a source is a bf16 product: then it can be resident in bf16 alone. */
  onlyInBf16(node: RecordedNode): boolean {
    const users = this.usersOf(node);
    return (
      users.length > 0 &&
      users.every(
        (user) =>
          this.isBf16Product(user.node) ||
          (this.isLowLoss(user.node) && user.input === 1) ||
          (this.precision === 'bf16' && user.node.operation === 'GatherV2' && user.input === 0),
      )
    );
  }
}
