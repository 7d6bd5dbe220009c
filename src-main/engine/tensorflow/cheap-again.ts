import type { RecordedNode, Ref } from './recorder.ts';

/** What takes one pass over memory, as long as reading a kept result would nearly take. */
const CHEAP = new Set(['StudioRmsNorm', 'StudioLayerNorm', 'StudioGated', 'StudioActivation', 'StudioMixture']);

/**
 * Lets parts make cheap values again instead of keeping them from the part that made them: a block's backward pass has x of a norm
 * and both factors of a gate in any case, so that their results need not wait for it in memory.
 * @returns the record, with a node of its own in each part that makes a value again
 */
export function makeCheapAgain(nodes: RecordedNode[]): RecordedNode[] {
  const taken = new Map<number, Set<string>>();
  const numbers = new Map(nodes.map((node, i) => [node, i]));
  const key = ({ node, output }: Ref) => `${numbers.get(node)}.${output}`;
  for (const { part, inputs, operation } of nodes) {
    if (part === undefined || CHEAP.has(operation)) continue;
    const refs = taken.get(part) ?? new Set();
    for (const ref of inputs) refs.add(key(ref));
    taken.set(part, refs);
  }
  const copies = new Map<RecordedNode, Map<number, RecordedNode>>();
  return nodes.flatMap((node) => {
    const added: RecordedNode[] = [];
    node.inputs = node.inputs.map((ref) => {
      const { part } = node;
      if (part === undefined || ref.node.part === undefined || ref.node.part === part) return ref;
      const isThere = (input: Ref) => input.node.source !== undefined || taken.get(part)!.has(key(input));
      if (!CHEAP.has(ref.node.operation) || !ref.node.inputs.every(isThere)) return ref;
      const known = copies.get(ref.node) ?? new Map<number, RecordedNode>();
      copies.set(ref.node, known);
      if (!known.has(part)) {
        known.set(part, { ...ref.node, part });
        added.push(known.get(part)!);
      }
      return { node: known.get(part)!, output: ref.output };
    });
    return [...added, node];
  });
}
