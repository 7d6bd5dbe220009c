import { OWN, type Analysis } from './analysis.ts';
import type { RecordedNode, Ref } from './recorder.ts';

/** One pass through a repeated part: what it takes from outside, and what the outside takes from it. */
export interface Part {
  nodes: RecordedNode[];
  inputs: Ref[];
  outputs: Ref[];
  /** equal for passes that do the same with other numbers */
  signature: string;
}

const bytesOf = (value: unknown) =>
  JSON.stringify(value, (_, item: unknown) =>
    item instanceof Uint8Array ? Buffer.from(item).toString('base64') : item,
  );
const key = ({ node, output }: Ref, numbers: Map<RecordedNode, number>) => `${numbers.get(node)}.${output}`;

/** The record's parts by number, each with its signature. */
export function findParts(analysis: Analysis): Map<number, Part> {
  const members = new Map<number, RecordedNode[]>();
  for (const node of analysis.live) {
    if (node.part === undefined) continue;
    const list = members.get(node.part) ?? [];
    list.push(node);
    members.set(node.part, list);
  }
  return new Map([...members].map(([part, nodes]) => [part, describe(part, nodes, analysis)]));
}

function describe(part: number, nodes: RecordedNode[], analysis: Analysis): Part {
  const numbers = new Map(nodes.map((node, i) => [node, i]));
  const inputs = new Map<RecordedNode, Map<number, number>>();
  const list: Ref[] = [];
  const inputNumber = (ref: Ref) => {
    const outputs = inputs.get(ref.node) ?? new Map<number, number>();
    inputs.set(ref.node, outputs);
    if (!outputs.has(ref.output)) outputs.set(ref.output, list.push(ref) - 1);
    return outputs.get(ref.output)!;
  };
  const from = (ref: Ref, isNumber = false) => {
    if (ref.node.part === part) return key(ref, numbers);
    return ref.node.constant && !isNumber ? bytesOf(ref.node.constant) : `i${inputNumber(ref)}`;
  };
  const outputs: Ref[] = [];
  const lines = nodes.map((node) => {
    const taken = new Set(analysis.usersOf(node).flatMap((use) => (use.node.part === part ? [] : [use.output])));
    if (analysis.isRoot(node)) node.outputs.forEach((_, output) => taken.add(output));
    for (const output of [...taken].sort((a, b) => a - b)) outputs.push({ node, output });
    const outside = taken.size > 0 ? `${[...taken].join()}:${analysis.outputType(node)}` : '';
    const shapes = node.outputs.map(({ dtype, shape }) => `${dtype}[${shape.join()}]`).join();
    return [
      node.operation,
      bytesOf(node.attributes),
      node.inputs.map((ref, i) => from(ref, OWN[node.operation]?.numbers?.includes(i))).join(),
      shapes,
      outside,
    ].join(' ');
  });
  return { nodes, inputs: list, outputs, signature: lines.join('\n') };
}
