import { eventIterator, oc } from '@orpc/contract';
import { z } from 'zod';
import { checkEvent } from './doctor.ts';

export const engineStatus = z.object({
  name: z.enum(['tensorflow', 'webgpu', 'wasm', 'cpu']),
  available: z.boolean(),
  device: z.string(),
  kind: z.enum(['gpu', 'cpu']),
  memoryBytes: z.number(),
  /** of a GPU's now, where it is told */
  freeBytes: z.number().optional(),
  versions: z.record(z.string(), z.string()),
  reason: z.string(),
  /** the studio can set it up by itself on this machine */
  installable: z.boolean(),
});
export type EngineStatus = z.infer<typeof engineStatus>;

export const gpuStatus = z.object({
  name: z.string(),
  memoryBytes: z.number(),
  usedBytes: z.number(),
  /** share of the time it computes, 0 to 1 */
  busy: z.number(),
});
export type GpuStatus = z.infer<typeof gpuStatus>;

/** What an installation says while it goes on; `done` comes last. */
export const installEvent = z.object({ line: z.string(), done: z.boolean() });
export type InstallEvent = z.infer<typeof installEvent>;

export const machineStatus = z.object({
  host: z.string(),
  platform: z.string(),
  processor: z.string(),
  cores: z.number(),
  memoryBytes: z.number(),
  freeMemoryBytes: z.number(),
  /** share of the time that its processors computed since this was asked last, 0 to 1; null the first time */
  busy: z.number().nullable(),
  /** what this studio and its trainer hold now */
  usedBytes: z.number(),
  dataFolder: z.string(),
  gpus: z.array(gpuStatus),
});
export type MachineStatus = z.infer<typeof machineStatus>;

export const storagePart = z.object({ name: z.string(), folder: z.string(), bytes: z.number(), files: z.number() });

/** One entry of a folder, as the file browser shows it. */
export const folderEntry = z.object({
  name: z.string(),
  path: z.string(),
  kind: z.enum(['folder', 'file']),
  bytes: z.number(),
  modifiedAt: z.number(),
});
export const folderListing = z.object({
  path: z.string(),
  parent: z.string().nullable(),
  roots: z.array(z.object({ name: z.string(), path: z.string() })),
  entries: z.array(folderEntry),
  /** more entries than are shown */
  truncated: z.boolean(),
});
export type FolderListing = z.infer<typeof folderListing>;

export const machine = {
  status: oc.output(machineStatus),
  /** engines are probed in a process of their own; this may take seconds the first time */
  engines: oc.input(z.object({ refresh: z.boolean().default(false) })).output(z.array(engineStatus)),
  /** sets an engine up; ending the stream leaves it as it was */
  install: oc.input(z.object({ engine: z.enum(['tensorflow']) })).output(eventIterator(installEvent)),
  /** measures every engine, which takes minutes; ending the stream ends it */
  check: oc.output(eventIterator(checkEvent)),
  storage: oc.output(z.array(storagePart)),
};

export const foundKind = z.enum(['dataset', 'model', 'adapter']);
export type FoundKind = z.infer<typeof foundKind>;

export const files = {
  /** what a file or folder is to the studio */
  recognise: oc.input(z.object({ path: z.string().max(4096) })).output(foundKind),
  /** `path` outside the chosen folders is refused */
  browse: oc
    .input(z.object({ path: z.string().max(4096).optional(), show: z.enum(['models', 'datasets', 'adapters', 'all']) }))
    .output(folderListing),
};
