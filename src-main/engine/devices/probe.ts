import { z } from 'zod';
import type { Launch } from '../child.ts';
import { entryOf } from '../entry.ts';
import { askProcess } from './ask-process.ts';
import type { Proof } from './proof.ts';

/** The first start of CUDA on a GPU compiles its kernels; one that takes longer than this is of no use to anyone. */
const LIMIT_MS = 120_000;

/** What the helper process is asked, and answers. */
export const probeAsked = z.strictObject({
  engine: z.enum(['tensorflow', 'webgpu', 'wasm', 'cpu']),
  /** CUDA's name of the GPU that it has to run on */
  uuid: z.string().max(200).optional(),
  gpu: z.boolean(),
});
export type ProbeAsked = z.infer<typeof probeAsked>;
export interface ProbeAnswer {
  passed: boolean;
  reason: string;
}

/**
 * Tries an engine in a process of its own: a product, a softmax and a gradient, compared with numbers worked out here. A driver that
 * crashes or hangs takes only that process along.
 * @param launch how a process is started
 * @param signal ends it
 */
export async function probe(
  asked: ProbeAsked,
  launch: Launch,
  limitMs = LIMIT_MS,
  signal?: AbortSignal,
): Promise<Proof> {
  const begun = performance.now();
  const entry = entryOf(import.meta.url, './probe-process.ts', './probe.js');
  const asking = { engine: asked.engine, entry, asked, launch, limitMs, when: 'when it was tried', signal };
  let answer: ProbeAnswer | undefined;
  const failure = await askProcess(asking, (message) => {
    answer = message as ProbeAnswer;
    return true;
  });
  const { passed, reason } = answer ?? { passed: false, reason: failure! };
  return { passed, reason, seconds: (performance.now() - begun) / 1000 };
}
