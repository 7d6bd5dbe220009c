import { ALWAYS_F32, type Analysis, flag, isFew, isMatrixProduct, OWN, ROUNDS, typeOf } from './analysis.ts';
import { attribute, DataType } from './addon.ts';
import { GraphBuilder, type Output } from './graph-builder.ts';
import { findParts, type Part } from './parts.ts';
import type { RecordedNode, Ref } from './recorder.ts';
import type { PartFunction, Session } from './session.ts';

/** A value and the type it has been made in. */
interface Natural {
  value: Output;
  type: number;
}

/** What stands for values from outside the record: in a type, and the type they are kept in. */
export interface Sources {
  value(node: RecordedNode, type: number): Output;
  type(node: RecordedNode): number;
  /** a recorded shape as the graph has it: sizes that vary are open */
  shape(shape: number[]): number[];
}

/** What has been emitted into one graph: the session's, or a function's. */
class Scope {
  readonly values = new Map<RecordedNode, Natural[]>();
  readonly casts = new Map<string, Output>();
  readonly constants = new Map<RecordedNode, Output>();
  /** values in integers, by node and output */
  readonly rounded = new Map<RecordedNode, Output[]>();
  constructor(readonly builder: GraphBuilder) {}

  keep(node: RecordedNode, output: number, value: Natural): void {
    const list = this.values.get(node) ?? [];
    list[output] = value;
    this.values.set(node, list);
  }

  keepRounded({ node, output }: Ref, value: Output): Output {
    const list = this.rounded.get(node) ?? [];
    list[output] = value;
    this.rounded.set(node, list);
    return value;
  }
}

/**
 * Puts a record into a session's graph. On the way: sums of several terms become one pass, products with a small inner size go
 * into the sum that takes them, with `bf16` large matrix products and what our own operations pass on are bf16, and what is
 * repeated becomes a function that is called.
 */
export class Lowering {
  private scope: Scope;
  /** nodes that have to run beside those that are fetched */
  readonly targets: number[] = [];
  /** what was emitted last, where operations run in order */
  private latest?: number;

  constructor(
    private readonly session: Session,
    private readonly analysis: Analysis,
    /** optimizer steps that write into their variables' own memory */
    private readonly inPlace: ReadonlySet<RecordedNode>,
    private readonly sources: Sources,
  ) {
    this.scope = new Scope(session);
  }

  private get builder(): GraphBuilder {
    return this.scope.builder;
  }

  /** Emits everything; the roots come back in f32 (or their own integer type). */
  lower(roots: Ref[]): Output[] {
    const parts = findParts(this.analysis);
    const called = new Set<number>();
    for (const node of this.analysis.live) {
      if (node.part === undefined) {
        this.emitInOrder(node);
      } else if (!called.has(node.part)) {
        called.add(node.part);
        this.call(parts.get(node.part)!);
      }
    }
    const values = roots.map((ref) => this.value(ref, typeOf(ref)));
    for (const node of this.inPlace) this.emitInPlace(node);
    return values;
  }

  /** After everything else that reads the variables; readers inside parts come before the norm that the node takes. */
  private emitInPlace(node: RecordedNode): void {
    const inputs = node.inputs.map((input) => this.value(input, typeOf(input)));
    const readers = node.inputs.flatMap((input) => (input.node.source ? this.analysis.usersOf(input.node) : []));
    const before = readers.flatMap((use) => {
      if (use.node.part !== undefined || this.inPlace.has(use.node)) return [];
      return this.scope.values.get(use.node)?.find((value) => value !== undefined)?.value.node ?? [];
    });
    this.targets.push(this.builder.one('StudioAdamWInPlace', node.attributes, inputs, before).node);
  }

  // ---- repeated parts ----

  private call(part: Part): void {
    const known = this.session.functions.get(part.signature);
    const called = known ?? this.define(part);
    const inputs = part.inputs.map((ref, i) => this.value(ref, called.inputTypes[i]!));
    const results = this.builder.add(called.name, [], inputs);
    part.outputs.forEach(({ node, output }, i) =>
      this.scope.keep(node, output, { value: results[i]!, type: called.outputTypes[i]! }),
    );
  }

  private define(part: Part): PartFunction {
    const body = new GraphBuilder(this.session.addon);
    const inner = new Scope(body);
    const inputTypes = part.inputs.map((ref) => this.natural(ref).type);
    const inputs = part.inputs.map(({ node, output }, i) => {
      const value = body.placeholder(inputTypes[i]!, this.sources.shape(node.outputs[output]!.shape));
      inner.keep(node, output, { value, type: inputTypes[i]! });
      return value;
    });
    const outer = this.scope;
    this.scope = inner;
    for (const node of part.nodes) this.emit(node);
    const outputs = part.outputs.map((ref) => this.natural(ref));
    this.scope = outer;
    const name = `part${this.session.functions.size}`;
    this.session.define(
      name,
      body,
      inputs,
      outputs.map(({ value }) => value),
    );
    const defined = { name, inputTypes, outputTypes: outputs.map(({ type }) => type) };
    this.session.functions.set(part.signature, defined);
    return defined;
  }

  // ---- values ----

  /** A value in the type it has been made in. */
  private natural(ref: Ref): Natural {
    const known = this.scope.values.get(ref.node)?.[ref.output];
    if (known) return known;
    const { node } = ref;
    if (node.constant) return { value: this.constant(node), type: typeOf(ref) };
    const type = this.sources.type(node);
    return { value: this.sources.value(node, type), type };
  }

  private constant(node: RecordedNode): Output {
    const known = this.scope.constants.get(node) ?? this.builder.one('Const', node.constant!, []);
    this.scope.constants.set(node, known);
    return known;
  }

  private value(ref: Ref, type: number): Output {
    if (ref.node.source && !ref.node.constant && !this.scope.values.has(ref.node))
      return this.sources.value(ref.node, type);
    const natural = this.natural(ref);
    if (natural.type === type) return natural.value;
    const key = `${natural.value.node}:${natural.value.output}:${type}`;
    const known = this.scope.casts.get(key);
    if (known) return known;
    const types = [attribute.type('SrcT', natural.type), attribute.type('DstT', type)];
    const cast = this.builder.one('Cast', types, [natural.value]);
    this.scope.casts.set(key, cast);
    return cast;
  }

  private keep(node: RecordedNode, outputs: Output[], types?: number[]): void {
    outputs.forEach((value, i) => this.scope.keep(node, i, { value, type: types?.[i] ?? node.outputs[i]!.dtype }));
  }

  // ---- nodes ----

  /**
   * Without our own operations a step is thousands of small ones, of which TensorFlow would begin at once with all that it can and hold
   * the results: each waits for the one before it, as they were recorded. A GPU's are only put into its queue one after the other anyway.
   */
  private emitInOrder(node: RecordedNode): void {
    this.emit(node);
    if (!this.session.fused) this.latest = this.scope.values.get(node)?.[0]?.value.node ?? this.latest;
  }

  private emit(node: RecordedNode): void {
    const { analysis } = this;
    if (node.source || analysis.absorbed.has(node) || this.inPlace.has(node)) return;
    const type = analysis.outputType(node);
    if (analysis.sums.has(node)) return this.keep(node, [this.emitSum(node, type)], [type]);
    if (isMatrixProduct(node)) return this.emitProduct(node, type);
    if (node.operation === 'StudioIntegerProduct') return this.emitIntegerProduct(node);
    if (node.operation in OWN) return this.emitOwn(node, type);
    if (node.operation === 'GatherV2' && this.natural(node.inputs[0]!).type === DataType.bfloat16)
      return this.emitLowGather(node);
    const inputs = node.inputs.map((input) => this.value(input, typeOf(input)));
    this.keep(node, this.builder.add(node.operation, node.attributes, inputs, this.before));
  }

  private get before(): number[] {
    return this.latest === undefined ? [] : [this.latest];
  }

  private emitSum(node: RecordedNode, type: number): Output {
    const { terms, products } = this.analysis.sums.get(node)!;
    for (const term of terms) if (this.analysis.joined.has(term.node)) this.emitIntegerProduct(term.node);
    if (terms.length === 1 && products.length === 0) return this.natural(terms[0]!).value;
    const rest = [...terms];
    let total: Natural | undefined;
    while (rest.length > (total ? 0 : 1)) {
      const taken = rest.splice(0, total ? 3 : 4);
      const values = taken.map((ref) => this.natural(ref));
      if (total) values.unshift(total);
      const name = values.length === 2 ? 'StudioSum' : `StudioSum${values.length}`;
      const totalType = rest.length === 0 && products.length === 0 ? type : DataType.float;
      const types = values.map((v, i) => attribute.type(OWN[name]!.inputs[i]!, v.type));
      const inputs = values.map((v) => v.value);
      total = { value: this.builder.one(name, [...types, attribute.type('W', totalType)], inputs), type: totalType };
    }
    total ??= this.natural(rest[0]!);
    products.forEach((product, i) => {
      const out = i === products.length - 1 ? type : DataType.float;
      const isOwn = this.analysis.isOwnProduct(product);
      const value = isOwn ? this.ownProduct(product, out, total!) : this.smallProduct(product, out, total!);
      total = { value, type: out };
    });
    return total.value;
  }

  private smallProduct(node: RecordedNode, type: number, add: Natural): Output {
    const [a, b] = node.inputs.map((input) => this.natural(input)) as [Natural, Natural];
    const types = [add.type, a.type, b.type, type].map((t, k) => attribute.type('TUVW'[k]!, t));
    return this.builder.one('StudioProductAdd', [...types, attribute.float('scale', 1)], [add.value, a.value, b.value]);
  }

  /** A product, or a product and a term, by our own operation: operands in the type they have, f32 sums. */
  private ownProduct(node: RecordedNode, type: number, add?: Natural, scale = 1): Output {
    const factors = node.inputs.length === 3 ? node.inputs.slice(1) : node.inputs;
    const operands = factors.map((input) => this.natural(input));
    const terms = add ? [...operands, add] : operands;
    const types = [...terms.map((term) => term.type), type];
    const names = add ? 'TUVW' : 'TUW';
    const int = (name: string, value: boolean) => attribute.int(name, value ? 1 : 0);
    const attributes = [
      ...types.map((t, k) => attribute.type(names[k]!, t)),
      int('transpose_a', flag(node, 'adj_x', 'transpose_a')),
      int('transpose_b', flag(node, 'adj_y', 'transpose_b')),
      int('split', !this.analysis.isBf16Product(node)),
      attribute.float('scale', scale),
    ];
    const values = terms.map((term) => term.value);
    return this.builder.one(add ? 'StudioProductSum' : 'StudioProduct', attributes, values);
  }

  private emitProduct(node: RecordedNode, type: number): void {
    if (this.analysis.isOwnProduct(node)) return this.keep(node, [this.ownProduct(node, type)], [type]);
    const low = this.analysis.isBf16Product(node) ? DataType.bfloat16 : DataType.float;
    const inputs = node.inputs.map((input) => this.value(input, low));
    const attributes = [
      attribute.bool('transpose_a', flag(node, 'adj_x', 'transpose_a')),
      attribute.bool('transpose_b', flag(node, 'adj_y', 'transpose_b')),
    ];
    this.keep(node, this.builder.add('MatMul', attributes, inputs, this.before), [low]);
  }

  /** Few tokens go into their products as they are, and those of one x are one operation. */
  private emitProductsOfFew(node: RecordedNode): void {
    if (this.scope.values.has(node)) return;
    const together = this.analysis.ofTheSameFew(node);
    if (together.length === 1) return this.emitOwn(node, DataType.float);
    const inputs = [node.inputs[0]!, ...together.map((each) => each.inputs[1]!)];
    const values = inputs.map((ref) => this.value(ref, typeOf(ref)));
    const products = this.builder.add(`StudioIntegerProduct${together.length}`, [], values);
    together.forEach((each, i) => this.keep(each, [products[i]!], [DataType.float]));
  }

  /** x goes into all of its products in the same integers: from what wrote x, or rounded once. */
  private emitIntegerProduct(node: RecordedNode): void {
    if (isFew(node.inputs[0]!) && !this.analysis.joined.has(node)) return this.emitProductsOfFew(node);
    const [x, weight] = node.inputs.map((input) => this.value(input, typeOf(input)));
    const from = node.inputs[0]!;
    const rounded =
      this.scope.rounded.get(from.node)?.[from.output] ??
      this.scope.keepRounded(from, this.builder.one('StudioRounded', [], [x!]));
    const joined = this.analysis.joined.get(node);
    const more = joined ? [joined.a, joined.b].map((ref) => this.value(ref, DataType.float)) : [];
    const attributes = joined ? [...node.attributes, attribute.float('scale', joined.scale)] : node.attributes;
    const name = joined ? 'StudioRoundedProductAdd' : 'StudioRoundedProduct';
    this.keep(node, [this.builder.one(name, attributes, [x!, weight!, rounded, ...more])], [DataType.float]);
  }

  /** Rows of a bf16 table stay bf16. */
  private emitLowGather(node: RecordedNode): void {
    const [table, ...rest] = node.inputs;
    const inputs = [this.natural(table!).value, ...rest.map((input) => this.value(input, typeOf(input)))];
    const attributes = node.attributes.map((a) => (a.name === 'Tparams' ? { ...a, value: DataType.bfloat16 } : a));
    this.keep(node, this.builder.add('GatherV2', attributes, inputs, this.before), [DataType.bfloat16]);
  }

  private emitOwn(node: RecordedNode, outputType: number): void {
    const { inputs: typed, output } = OWN[node.operation]!;
    const [first] = node.inputs;
    if (node.operation === 'StudioProductAdd' && this.analysis.joined.has(first!.node)) {
      this.emitIntegerProduct(first!.node);
      return this.keep(node, [this.natural(first!).value], [DataType.float]);
    }
    if (node.operation === 'StudioProductAdd' && this.analysis.isOwnProduct(node)) {
      const scale = node.attributes.find(({ name }) => name === 'scale')!.value as number;
      const product = this.ownProduct(node, outputType, this.natural(node.inputs[0]!), scale);
      return this.keep(node, [product], [outputType]);
    }
    const { unsplit } = this.analysis;
    const attributes = node.attributes.map((a) => (unsplit && a.name === 'split' ? { ...a, value: 0 } : a));
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
      type = given >= 0 ? this.natural(node.inputs[given]!).type : outputType;
      if (given < 0) attributes.push(attribute.type(output, type));
    }
    const types = node.outputs.map(({ dtype }, i) =>
      dtype === DataType.float && !ALWAYS_F32[node.operation]?.includes(i) ? type : dtype,
    );
    const isRounded = this.analysis.isRounded(node);
    const outputs = this.builder.add(isRounded ? `${node.operation}Rounded` : node.operation, attributes, inputs);
    this.keep(node, outputs.slice(0, node.outputs.length), types);
    if (isRounded)
      ROUNDS[node.operation]!.forEach((output, i) =>
        this.scope.keepRounded({ node, output }, outputs[node.outputs.length + i]!),
      );
  }
}
