import { z } from 'zod';

/** What one engine does on one device of this machine, as `effilora doctor` measured it. */
export const engineReport = z.object({
  name: z.enum(['tensorflow', 'webgpu', 'wasm', 'cpu']),
  device: z.string(),
  kind: z.enum(['gpu', 'cpu']),
  memoryBytes: z.number(),
  /** of a GPU's before anything ran, where it is told */
  freeBytes: z.number().optional(),
  versions: z.record(z.string(), z.string()),
  /** a product, a softmax and a gradient, compared with numbers worked out in plain JavaScript */
  probe: z.object({ passed: z.boolean(), reason: z.string(), seconds: z.number() }),
  /** floating-point operations a second of an f32 product, in 10^9; null: not measured */
  productGflops: z.number().nullable(),
  /** 10^9 bytes a second of a sum of two large tensors; null: not measured */
  bandwidthGBs: z.number().nullable(),
  /** of the training steps: how many were done, tokens of each, and through how many of the model's blocks (null: all) */
  steps: z.object({ done: z.number(), rows: z.number(), length: z.number(), blocks: z.number().nullable() }).nullable(),
  /** the first step, which compiles, aside; null: not measured */
  tokensPerSecond: z.number().nullable(),
  /** of just these steps, by the plan */
  predictedBytes: z.number().nullable(),
  /** on a GPU its own memory, else the most this process had resident */
  measuredBytes: z.number().nullable(),
  /** what was not measured, and why, as sentences */
  notes: z.array(z.string()),
});
export type EngineReport = z.infer<typeof engineReport>;

/** What `effilora doctor` says of a machine. */
export const machineReport = z.object({
  node: z.string(),
  platform: z.string(),
  processor: z.string(),
  cores: z.number(),
  memoryBytes: z.number(),
  gpus: z.array(
    z.object({
      name: z.string(),
      vendor: z.string(),
      memoryBytes: z.number(),
      freeBytes: z.number().optional(),
      driver: z.string().optional(),
      computeCapability: z.string().optional(),
    }),
  ),
  /** the base model of the steps */
  model: z.string(),
  engines: z.array(engineReport),
  /** the engine that `auto` takes; null: none passed */
  chosen: z.string().nullable(),
  /** what to do, as sentences */
  advice: z.array(z.string()),
  seconds: z.number(),
});
export type MachineReport = z.infer<typeof machineReport>;

/** What is told while a machine is checked; `done` comes last. */
export const checkEvent = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('doing'), what: z.string(), done: z.number(), total: z.number() }),
  z.object({ kind: z.literal('engine'), engine: engineReport }),
  /** `text`: the report to be copied */
  z.object({ kind: z.literal('done'), report: machineReport, text: z.string() }),
]);
export type CheckEvent = z.infer<typeof checkEvent>;
