import type { Addon, Attribute, GraphHandle } from './addon.ts';
import { attribute } from './addon.ts';
import { listLengths } from './recorder.ts';

/** An output of a node of a graph. */
export interface Output {
  node: number;
  output: number;
}

/** A TensorFlow graph that grows node by node. */
export class GraphBuilder {
  readonly graph: GraphHandle;
  protected names = 0;

  constructor(readonly addon: Addon) {
    this.graph = addon.createGraph();
  }

  add(operation: string, attributes: Attribute[], inputs: Output[], controls: number[] = []): Output[] {
    const flat = flatOutputs(inputs);
    const lists = listLengths(operation, inputs.length);
    const added = this.addon.addNode(this.graph, operation, `n${this.names++}`, attributes, flat, controls, lists);
    return added.outputs.length === 0
      ? [{ node: added.node, output: 0 }]
      : added.outputs.map((_, output) => ({ node: added.node, output }));
  }

  one(operation: string, attributes: Attribute[], inputs: Output[], controls: number[] = []): Output {
    return this.add(operation, attributes, inputs, controls)[0]!;
  }

  placeholder(dtype: number, shape: number[]): Output {
    return this.one('Placeholder', [attribute.type('dtype', dtype), attribute.shape('shape', shape)], []);
  }

  constant(dtype: number, shape: number[], data: Uint8Array): Output {
    return this.one('Const', [attribute.type('dtype', dtype), attribute.tensor('value', dtype, shape, data)], []);
  }

  /** Makes `body` an operation of this graph, called by its name. */
  define(name: string, body: GraphBuilder, inputs: Output[], outputs: Output[]): void {
    this.addon.addFunction(this.graph, body.graph, name, flatOutputs(inputs), flatOutputs(outputs));
  }
}

const flatOutputs = (outputs: Output[]) => outputs.flatMap(({ node, output }) => [node, output]);
