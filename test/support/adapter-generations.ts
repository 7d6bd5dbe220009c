import { fileURLToPath } from 'node:url';
import { writeStoredAdapter } from '../../src-main/trainer/adapter-folder.ts';

/** Writes an adapter whose two files both say of which generation they are. */
export function writeGeneration(folder: string, generation: number): Promise<void> {
  return writeStoredAdapter(folder, {
    tensors: [{ name: 'layers.0.q_proj.A', shape: [64, 64], data: new Float32Array(4096).fill(generation) }],
    description: {
      method: {
        ...{ name: 'lora', rank: 64, heads: 1, alpha: 64, targets: ['q_proj'], share: 'global', router: 'site' },
        ...{ dropout: 0, rsLora: false, dora: false },
      },
      baseModel: { name: 'none', architecture: 'llama', sha256: '0'.repeat(64) },
      datasets: [],
      recipe: {},
      metrics: { steps: generation },
      heads: {},
      renormalize: false,
    },
  });
}

// As a process of its own: one generation after the other until it is killed.
if (process.argv[1] === fileURLToPath(import.meta.url))
  for (let generation = 1; ; generation++) {
    await writeGeneration(process.argv[2]!, generation);
    process.send!(generation);
  }
