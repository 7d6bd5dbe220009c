import { expect, test } from 'vitest';
import { makeCheapAgain } from '../../src-main/engine/tensorflow/cheap-again.ts';
import type { RecordedNode } from '../../src-main/engine/tensorflow/recorder.ts';

const node = (operation: string, part: number | undefined, inputs: RecordedNode[] = []): RecordedNode => ({
  operation,
  part,
  attributes: [],
  inputs: inputs.map((from) => ({ node: from, output: 0 })),
  outputs: [{ dtype: 1, shape: [4, 4] }],
});
/** What a part takes from other parts. */
const takenBy = (part: number, nodes: RecordedNode[]) => {
  const own = nodes.filter((each) => each.part === part);
  const taken = own.flatMap((each) => each.inputs.map((input) => input.node)).filter((from) => from.part !== part);
  return [...new Set(taken.map(({ operation }) => operation))].sort();
};

test('a gate whose factors a later part has anyway is made again there, once', () => {
  const [gate, up] = [node('Gate', 0), node('Up', 0)];
  const gated = node('StudioGated', 0, [gate, up]);
  const forward = node('MatMul', 0, [gated]);
  const uses = [node('MatMul', 1, [gated]), node('BlockProduct', 1, [gated])];
  const grad = node('StudioGatedGrad', 1, [gate, up]);
  const nodes = makeCheapAgain([gate, up, gated, forward, ...uses, grad]);
  expect(takenBy(1, nodes)).toEqual(['Gate', 'Up']);
  expect(nodes.filter(({ operation }) => operation === 'StudioGated')).toHaveLength(2);
  const made = nodes.findIndex(({ operation, part }) => operation === 'StudioGated' && part === 1);
  expect(made).toBeLessThan(nodes.indexOf(uses[0]!));
  expect(forward.inputs[0]!.node).toBe(gated);
});

test('a norm of a value that the later part would have to keep for it is kept instead', () => {
  const x = node('Sum', 0);
  const norm = node('StudioRmsNorm', 0, [x]);
  const nodes = makeCheapAgain([x, norm, node('MatMul', 1, [norm])]);
  expect(takenBy(1, nodes)).toEqual(['StudioRmsNorm']);
});

test('a costly value is kept', () => {
  const x = node('Sum', 0);
  const product = node('MatMul', 0, [x]);
  const nodes = makeCheapAgain([x, product, node('Mul', 1, [product, x])]);
  expect(takenBy(1, nodes)).toEqual(['MatMul', 'Sum']);
});
