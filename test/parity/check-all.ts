import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { error, openCase, rowsOf } from './case.ts';
import { checkCase, LOSS_BOUND, TENSOR_BOUND } from './check.ts';

const here = path.dirname(fileURLToPath(import.meta.url));
const cases = readdirSync(here, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !entry.name.startsWith('_'))
  .map((entry) => entry.name);

/** The tests that every engine passes, for inside a `describe` which has opened one. */
export function checkAllCases(): void {
  // every second one with its blocks computed again in backward
  it.each(cases.map((name, i) => [name, i % 2 === 1] as const))(
    '%s: gradients, losses, importance, frozen sets, final tensors and logits (recomputed: %s)',
    checkCase,
  );

  it('a step in micro-batches of unequal weight is the step on the whole batch', async () => {
    // and with two blocks at a time computed again in backward
    const c = await openCase('clip-and-decay', 2);
    for (const { step, loss: expected } of c.trajectory) {
      const { loss, routerShare } = await c.step.run(step, rowsOf(c.batches[step - 1]!), c.learningRate);
      expect(Math.abs(loss - expected) / expected).toBeLessThan(LOSS_BOUND);
      const site = routerShare!.slice(0, 3);
      expect(site[0]! + site[1]! + site[2]!).toBeCloseTo(1, 5);
    }
    for (const { name, data } of await c.tensors('final')) {
      const got = (await c.adapter.export()).find((tensor) => tensor.name === name)!;
      expect(error(got.data, data)).toBeLessThan(TENSOR_BOUND);
    }
    c.dispose();
  });
}
