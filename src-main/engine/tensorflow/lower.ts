import { attribute, DataType } from './addon.ts';
import type { RecordedNode, Ref } from './recorder.ts';
import type { Output, Session } from './session.ts';

export type Precision = 'f32' | 'bf16';

/** Type attributes of our own operations: of their inputs in order (undefined = f32 only), and of their outputs. */
const OWN: Record<string, { inputs: (string | undefined)[]; output?: string }> = {
  StudioRmsNorm: { inputs: ['T'], output: 'U' },
  StudioRmsNormGrad: { inputs: ['T', 'U'] },
  StudioRotary: { inputs: ['T'], output: 'U' },
  StudioGated: { inputs: ['T', 'U'], output: 'V' },
  StudioGatedGrad: { inputs: ['T', 'U', 'V'], output: 'W' },
  StudioAttention: { inputs: ['T', 'U', 'V'], output: 'W' },
  StudioAttentionGrad: { inputs: ['T', 'U', 'V', undefined, 'W', undefined, 'X'], output: 'Y' },
  StudioCrossEntropy: { inputs: ['T'], output: 'T' },
  StudioLoss: { inputs: ['T', 'U'] },
  StudioProductAdd: { inputs: ['T', 'U', 'V'], output: 'W' },
  StudioBlockProduct: { inputs: [undefined, 'T'] },
  StudioPackedProduct: { inputs: ['T', undefined], output: 'U' },
  StudioPackedLoss: { inputs: ['T', undefined, undefined] },
  StudioLogProbabilities: { inputs: ['T', undefined, undefined] },
  StudioCachedAttention: { inputs: ['T', 'U', 'V', undefined, undefined], output: 'W' },
  StudioSum: { inputs: ['T', 'U'], output: 'W' },
  StudioSum3: { inputs: ['T', 'U', 'V'], output: 'W' },
  StudioSum4: { inputs: ['T', 'U', 'V', 'X'], output: 'W' },
};
const LOSSES = ['StudioLoss', 'StudioPackedLoss', 'StudioLogProbabilities'];
/** Outputs of our operations that stay f32 whatever the others are. */
const ALWAYS_F32: Record<string, number[]> = { StudioAttention: [1], StudioCrossEntropy: [0] };

/** Products below this many multiplications stay f32: the casts would cost more than bf16 saves. */
const SMALLEST_BF16_PRODUCT = 1 << 22;
/** Products below this many multiplications are not worth packing into tiles. */
const SMALLEST_TILE_PRODUCT = 1 << 21;
/** A product over so few numbers is cheaper inside the sum that takes it. */
const SMALL_INNER = 64;

const size = (shape: number[]) => shape.reduce((a, b) => a * b, 1);
const sameShape = (a: number[], b: number[]) => a.length === b.length && a.every((n, i) => n === b[i]);
const shapeOf = ({ node, output }: Ref) => node.outputs[output]!.shape;
const typeOf = ({ node, output }: Ref) => node.outputs[output]!.dtype;
const flag = (node: RecordedNode, ...names: string[]) =>
  node.attributes.some(({ name, value }) => names.includes(name) && value === true);

function isMatrixProduct(node: RecordedNode): boolean {
  return (
    (node.operation === 'BatchMatMulV2' || node.operation === 'MatMul') &&
    node.inputs.every((input) => shapeOf(input).length === 2 && typeOf(input) === DataType.float)
  );
}

/** Inner size of a matrix product. */
function inner(node: RecordedNode): number {
  return shapeOf(node.inputs[0]!)[flag(node, 'adj_x', 'transpose_a') ? 0 : 1]!;
}

/**
 * Puts a record into a session's graph. On the way: sums of several terms become one pass, products with a small inner size go
 * into the sum that takes them, and with `bf16` large matrix products and what our own operations pass on are bf16.
 */
export class Lowering {
  private readonly emitted = new Map<RecordedNode, Output[]>();
  private readonly casts = new Map<string, Output>();
  private readonly users = new Map<RecordedNode, { node: RecordedNode; input: number; output: number }[]>();
  private readonly absorbed = new Set<RecordedNode>();
  private readonly inBf16 = new Map<RecordedNode, boolean>();
  readonly live: RecordedNode[];

  constructor(
    private readonly session: Session,
    nodes: RecordedNode[],
    private readonly roots: Ref[],
    private readonly precision: Precision,
    /** what stands for a value from outside */
    private readonly source: (node: RecordedNode, type: number) => Output,
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
  }

  /** Emits everything; the roots come back in f32 (or their own integer type). */
  lower(): Output[] {
    for (const node of this.live) this.findSum(node);
    for (const node of this.live) if (!this.absorbed.has(node)) this.emit(node);
    return this.roots.map((ref) => this.value(ref, typeOf(ref)));
  }

  // ---- sums ----

  private readonly sums = new Map<RecordedNode, { terms: Ref[]; products: RecordedNode[] }>();

  private isSum(node: RecordedNode): boolean {
    const shape = node.outputs[0]!.shape;
    return (
      ['Add', 'AddV2', 'AddN'].includes(node.operation) &&
      shape.length === 2 &&
      size(shape) >= 4096 &&
      node.inputs.every((input) => typeOf(input) === DataType.float && sameShape(shapeOf(input), shape))
    );
  }

  private usedOnce(node: RecordedNode): boolean {
    return this.users.get(node)?.length === 1 && !this.roots.some((root) => root.node === node);
  }

  /** Takes the terms of sums that only go into this one, and small products among them. */
  private findSum(node: RecordedNode): void {
    if (!this.isSum(node) || !this.session.fused) return;
    const terms: Ref[] = [];
    const products: RecordedNode[] = [];
    for (const input of node.inputs) {
      const inner_ = this.sums.get(input.node);
      if (inner_ && this.usedOnce(input.node)) {
        terms.push(...inner_.terms);
        products.push(...inner_.products);
        this.sums.delete(input.node);
        this.absorbed.add(input.node);
      } else if (this.isSmallProduct(input.node) && this.usedOnce(input.node)) {
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

  private isSmallProduct(node: RecordedNode): boolean {
    return (
      isMatrixProduct(node) && inner(node) <= SMALL_INNER && !flag(node, 'adj_x', 'adj_y', 'transpose_a', 'transpose_b')
    );
  }

  private emitSum(node: RecordedNode): Output {
    const { terms, products } = this.sums.get(node)!;
    const type = this.outputType(node);
    let rest = [...terms];
    let total: Output | undefined;
    let totalType: number = DataType.float;
    const left = products.length;
    while (rest.length > (total ? 0 : 1)) {
      const taken = rest.splice(0, total ? 3 : 4);
      const values = taken.map((ref) => this.natural(ref));
      if (total) values.unshift({ value: total, type: totalType });
      const name = values.length === 2 ? 'StudioSum' : `StudioSum${values.length}`;
      totalType = rest.length === 0 && left === 0 ? type : DataType.float;
      const types = values.map((v, i) => attribute.type(OWN[name]!.inputs[i]!, v.type));
      total = this.session.one(
        name,
        [...types, attribute.type('W', totalType)],
        values.map((v) => v.value),
      );
    }
    if (!total) ({ value: total, type: totalType } = this.natural(rest[0]!));
    rest = [];
    products.forEach((product, i) => {
      const out = i === products.length - 1 ? type : DataType.float;
      const term = { value: total!, type: totalType };
      total = this.onTiles(product) ? this.tileProduct(product, out, term) : this.smallProduct(product, out, term);
      totalType = out;
    });
    return total;
  }

  private smallProduct(node: RecordedNode, type: number, add: Natural): Output {
    const [a, b] = node.inputs.map((input) => this.natural(input)) as [Natural, Natural];
    const types = [add.type, a.type, b.type, type].map((t, k) => attribute.type('TUVW'[k]!, t));
    return this.session.one('StudioProductAdd', [...types, attribute.float('scale', 1)], [add.value, a.value, b.value]);
  }

  /** A product, or a product and a term, on AMX tiles: operands in the type they have, f32 sums. */
  private tileProduct(node: RecordedNode, type: number, add?: Natural, scale = 1): Output {
    const operands = (node.inputs.length === 3 ? node.inputs.slice(1) : node.inputs).map((input) =>
      this.natural(input),
    );
    const terms = add ? [...operands, add] : operands;
    const types = [...terms.map((term) => term.type), type];
    const names = add ? 'TUVW' : 'TUW';
    const int = (name: string, value: boolean) => attribute.int(name, value ? 1 : 0);
    const attributes = [
      ...types.map((t, k) => attribute.type(names[k]!, t)),
      int('transpose_a', flag(node, 'adj_x', 'transpose_a')),
      int('transpose_b', flag(node, 'adj_y', 'transpose_b')),
      int('split', !this.isBf16Product(node)),
      attribute.float('scale', scale),
    ];
    return this.session.one(
      add ? 'StudioProductSum' : 'StudioProduct',
      attributes,
      terms.map((term) => term.value),
    );
  }

  // ---- precision ----

  /** Small products are left to TensorFlow: packing them into tiles gains nothing. */
  private onTiles(node: RecordedNode): boolean {
    return this.session.tiles && isMatrixProduct(node) && this.isLarge(node);
  }

  private isLarge(node: RecordedNode): boolean {
    const depth = node.operation === 'StudioProductAdd' ? shapeOf(node.inputs[1]!)[1]! : inner(node);
    return size(node.outputs[0]!.shape) * depth >= SMALLEST_TILE_PRODUCT;
  }

  private isBf16Product(node: RecordedNode): boolean {
    if (this.precision !== 'bf16') return false;
    if (node.operation === 'StudioPackedProduct') return true;
    if (!isMatrixProduct(node)) return false;
    const known = this.inBf16.get(node);
    if (known !== undefined) return known;
    const result = size(node.outputs[0]!.shape) * inner(node) >= SMALLEST_BF16_PRODUCT;
    this.inBf16.set(node, result);
    return result;
  }

  private isLowLoss(node: RecordedNode): boolean {
    return LOSSES.includes(node.operation) && this.precision === 'bf16';
  }

  /** Whether this use of a value takes it in bf16 as well as in f32. */
  private takesBf16({ node, input }: { node: RecordedNode; input: number }): boolean {
    if (this.sums.has(node) || this.absorbed.has(node)) return true;
    if (node.operation in OWN) return OWN[node.operation]!.inputs[input] !== undefined;
    return this.isBf16Product(node) || this.onTiles(node);
  }

  /** The type a node's typed outputs have: bf16 where every use takes it and a product wants it. */
  private outputType(node: RecordedNode): number {
    if (this.precision !== 'bf16') return DataType.float;
    if (this.roots.some((root) => root.node === node)) return DataType.float;
    const users = (this.users.get(node) ?? []).filter(({ output }) => !ALWAYS_F32[node.operation]?.includes(output));
    if (this.sums.has(node) && !users.every((user) => this.isBf16Product(user.node))) return DataType.float;
    return users.length > 0 && users.every((user) => this.takesBf16(user)) ? DataType.bfloat16 : DataType.float;
  }

  /** A value in the type it has been made in. */
  private natural(ref: Ref): Natural {
    const type = this.naturalTypes.get(ref.node)?.[ref.output] ?? typeOf(ref);
    if (ref.node.source) return { value: this.source(ref.node, type), type };
    return { value: this.emitted.get(ref.node)![ref.output]!, type };
  }

  private readonly naturalTypes = new Map<RecordedNode, number[]>();

  private value(ref: Ref, type: number): Output {
    if (ref.node.source && type === DataType.bfloat16) return this.source(ref.node, type);
    const natural = this.natural(ref);
    if (natural.type === type) return natural.value;
    const key = `${natural.value.node}:${natural.value.output}:${type}`;
    const known = this.casts.get(key);
    if (known) return known;
    const cast = this.session.one(
      'Cast',
      [attribute.type('SrcT', natural.type), attribute.type('DstT', type)],
      [natural.value],
    );
    this.casts.set(key, cast);
    return cast;
  }

  // ---- nodes ----

  private emit(node: RecordedNode): void {
    if (node.source) return;
    if (this.sums.has(node)) return this.keep(node, [this.emitSum(node)], [this.outputType(node)]);
    if (isMatrixProduct(node)) return this.emitProduct(node);
    if (node.operation in OWN) return this.emitOwn(node);
    const inputs = node.inputs.map((input) => this.value(input, typeOf(input)));
    this.keep(node, this.session.add(node.operation, node.attributes, inputs));
  }

  private emitProduct(node: RecordedNode): void {
    if (this.onTiles(node)) {
      const type = this.outputType(node);
      return this.keep(node, [this.tileProduct(node, type)], [type]);
    }
    const type = this.isBf16Product(node) ? DataType.bfloat16 : DataType.float;
    const inputs = node.inputs.map((input) => this.value(input, type));
    const attributes = [
      attribute.bool('transpose_a', flag(node, 'adj_x', 'transpose_a')),
      attribute.bool('transpose_b', flag(node, 'adj_y', 'transpose_b')),
    ];
    this.keep(node, this.session.add('MatMul', attributes, inputs), [type]);
  }

  private emitOwn(node: RecordedNode): void {
    const { inputs: typed, output } = OWN[node.operation]!;
    if (node.operation === 'StudioProductAdd' && this.session.tiles && this.isLarge(node)) {
      const scale = node.attributes.find(({ name }) => name === 'scale')!.value as number;
      const type = this.outputType(node);
      return this.keep(node, [this.tileProduct(node, type, this.natural(node.inputs[0]!), scale)], [type]);
    }
    const attributes = node.attributes.map((a) =>
      this.precision === 'bf16' && a.name === 'split' ? { ...a, value: 0 } : a,
    );
    const inputs = node.inputs.map((input, i) => {
      const name = typed[i];
      if (name === undefined) return this.value(input, typeOf(input));
      const { value, type } = this.natural(input);
      attributes.push(attribute.type(name, type));
      return value;
    });
    let type: number = DataType.float;
    if (output !== undefined) {
      // where an output's type is an input's, it is set already
      const given = typed.indexOf(output);
      type = given >= 0 ? this.natural(node.inputs[given]!).type : this.outputType(node);
      if (given < 0) attributes.push(attribute.type(output, type));
    }
    const types = node.outputs.map(({ dtype }, i) =>
      dtype === DataType.float && !ALWAYS_F32[node.operation]?.includes(i) ? type : dtype,
    );
    this.keep(node, this.session.add(node.operation, attributes, inputs), types);
  }

  private keep(node: RecordedNode, outputs: Output[], types?: number[]): void {
    this.emitted.set(node, outputs);
    if (types) this.naturalTypes.set(node, types);
  }

  /** True if every use of a source is a bf16 product: then it can be resident in bf16 alone. */
  onlyInBf16(node: RecordedNode): boolean {
    const users = this.users.get(node) ?? [];
    return (
      users.length > 0 &&
      users.every((user) => this.isBf16Product(user.node) || (this.isLowLoss(user.node) && user.input === 1))
    );
  }
}

interface Natural {
  value: Output;
  type: number;
}
