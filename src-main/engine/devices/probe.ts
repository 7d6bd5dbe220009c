import { z } from 'zod';
import type { Launch } from '../child.ts';
import { lastLine } from '../command.ts';
import { entryOf } from '../entry.ts';
import type { EngineName } from '../types.ts';
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
 */
export async function probe(asked: ProbeAsked, launch: Launch, limitMs = LIMIT_MS): Promise<Proof> {
  const begun = performance.now();
  const answer = await answered(asked, launch, limitMs);
  return { ...answer, seconds: (performance.now() - begun) / 1000 };
}

function answered(asked: ProbeAsked, launch: Launch, limitMs: number): Promise<ProbeAnswer> {
  return new Promise((resolve) => {
    const child = launch(entryOf(import.meta.url, './probe-process.ts', './probe.js'), { keepErrors: true });
    const failed = (reason: string) => resolve({ passed: false, reason });
    const limit = setTimeout(() => {
      failed(`${title(asked.engine)} gave no answer within ${limitMs / 1000} seconds when it was tried`);
      child.kill('SIGKILL');
    }, limitMs);
    child.onMessage((message) => {
      resolve(message as ProbeAnswer);
      child.kill();
    });
    child.onExit(({ code, signal, said }) => {
      clearTimeout(limit);
      const last = /^\w*Error: .*$/m.exec(said)?.[0] ?? lastLine(said);
      failed(`${title(asked.engine)} ended (${signal ?? `code ${code}`}) when it was tried${last ? `: ${last}` : ''}`);
    });
    child.send(asked);
  });
}

const TITLES: Record<EngineName, string> = {
  tensorflow: 'TensorFlow',
  webgpu: 'WebGPU',
  wasm: 'WebAssembly',
  cpu: 'JavaScript',
};
const title = (engine: EngineName) => TITLES[engine];
