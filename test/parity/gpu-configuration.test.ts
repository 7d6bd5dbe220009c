import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { compilations } from '../support/compilations.ts';
import { openGpuConfiguration } from '../support/gpu-configuration.ts';
import { checkCase } from './check.ts';

const here = path.dirname(fileURLToPath(import.meta.url));
const cases = readdirSync(here, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !entry.name.startsWith('_'))
  .map((entry) => entry.name);

describe('PyTorch on TensorFlow as a GPU runs it', () => {
  beforeAll(async () => void (await openGpuConfiguration()));

  // every second one with its blocks computed again in backward
  it.each(cases.map((name, i) => [name, i % 2 === 0] as const))(
    '%s: gradients, losses, importance, frozen sets, final tensors and logits (recomputed: %s), compiled',
    async (name, recompute) => {
      expect(await compilations(() => checkCase(name, recompute))).toBeGreaterThan(0);
    },
  );
});
