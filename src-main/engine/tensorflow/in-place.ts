import type { RecordedNode, Ref } from './recorder.ts';

/**
 * Optimizer steps whose every result becomes the new value of the very variable that it was made from. They need no second copy:
 * Those whose results something else reads, too, keep them apart. `norm`, which they wait for, comes after all that reads the variables (engine/fused-kernels.ts, adamw).
 */
export function updatedInPlace(
  updates: { update: Ref; variable: number }[],
  stateIds: number[],
  nodes: RecordedNode[],
): Set<RecordedNode> {
  const read = new Set(nodes.flatMap(({ inputs }) => inputs.map(({ node }) => node)));
  const matching = new Map<RecordedNode, number>();
  for (const { update, variable } of updates) {
    const { node, output } = update;
    if (node.operation !== 'StudioAdamW' || read.has(node)) continue;
    const source = node.inputs[output]!.node.source;
    if (source && 'tensorId' in source && source.tensorId === stateIds[variable])
      matching.set(node, (matching.get(node) ?? 0) + 1);
  }
  return new Set([...matching].filter(([node, count]) => count === node.outputs.length).map(([node]) => node));
}
