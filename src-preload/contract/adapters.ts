import { eventIterator, oc } from '@orpc/contract';
import { z } from 'zod';
import { job } from './jobs.ts';
import { tagList } from './tags.ts';

export const ADAPTER_ORIGINS = ['trained', 'imported', 'pruned', 'duplicate', 'export'] as const;

export const adapterEntry = z.object({
  id: z.string(),
  name: z.string(),
  notes: z.string(),
  tags: z.array(z.string()),
  /** how it came into the library */
  origin: z.enum(ADAPTER_ORIGINS),
  method: z.string(),
  rank: z.number(),
  /** all heads of the adapter, and how many of them are left out */
  heads: z.number(),
  droppedHeads: z.number(),
  /** the base model's name, and what opens it: a path or a name; empty where it isn't known */
  model: z.string(),
  modelReference: z.string(),
  dataset: z.string(),
  bytes: z.number(),
  /** held-out loss at the end of its training */
  evalLoss: z.number().nullable(),
  runId: z.string().nullable(),
  createdAt: z.number(),
  archived: z.boolean(),
  trashed: z.boolean(),
  folder: z.string(),
  /** its files were moved or deleted */
  missing: z.boolean(),
});
export type AdapterEntry = z.infer<typeof adapterEntry>;

export const adapterHead = z.object({
  name: z.string(),
  importance: z.number(),
  frozenSince: z.number().nullable(),
  dropped: z.boolean(),
  /** what leaving it out saves in the file */
  bytes: z.number(),
});
export type AdapterHead = z.infer<typeof adapterHead>;

export const adapterDetail = z.object({
  adapter: adapterEntry,
  recipe: z.record(z.string(), z.unknown()),
  metrics: z.record(z.string(), z.number().nullable()),
  structure: z.record(z.string(), z.unknown()),
  datasets: z.array(z.object({ name: z.string(), sha256: z.string(), examples: z.number() })),
  modelSha256: z.string(),
  heads: z.array(adapterHead),
  /** what the model calls its blocks, where they have names */
  blocks: z.array(z.string()).optional(),
});
export type AdapterDetail = z.infer<typeof adapterDetail>;

/** One thing in an adapter's family: another adapter, the run it came of, or what was made of it. */
export const lineageNode = z.object({
  /** its own among the nodes */
  id: z.string(),
  /** the adapter, run or export that it is */
  of: z.string(),
  kind: z.enum(['adapter', 'run', 'export']),
  label: z.string(),
  note: z.string(),
});
export const lineage = z.object({
  nodes: z.array(lineageNode),
  edges: z.array(z.object({ from: z.string(), to: z.string(), relation: z.string() })),
});
export type Lineage = z.infer<typeof lineage>;

export const verification = z.object({
  checks: z.array(z.object({ name: z.string(), ok: z.boolean(), message: z.string() })),
});
export type Verification = z.infer<typeof verification>;

const byId = z.object({ id: z.string().min(1).max(64) });
const path = z.string().min(1).max(4096);
const importRequest = z.object({ path, model: z.string().min(1).max(4096).optional() });

export const adapters = {
  list: oc
    .input(
      z.object({
        /** every word has to occur in name, notes, tags, model, dataset or method */
        text: z.string().max(200).default(''),
        method: z.string().max(64).optional(),
        model: z.string().max(512).optional(),
        tag: z.string().max(64).optional(),
        show: z.enum(['active', 'archived', 'trash']).default('active'),
      }),
    )
    .output(
      z.object({
        adapters: z.array(adapterEntry),
        /** what the filters can be set to */
        methods: z.array(z.string()),
        models: z.array(z.string()),
        tags: z.array(z.string()),
        counts: z.object({ active: z.number(), archived: z.number(), trash: z.number() }),
      }),
    ),
  get: oc.input(byId).output(adapterDetail),
  lineage: oc.input(byId).output(lineage),
  change: oc
    .input(
      byId.extend({
        name: z.string().trim().min(1).max(120).optional(),
        notes: z.string().max(20_000).optional(),
        tags: tagList.optional(),
        archived: z.boolean().optional(),
      }),
    )
    .output(adapterEntry),
  duplicate: oc.input(byId).output(adapterEntry),
  /** to the trash; `restore` undoes it */
  remove: oc.input(byId).output(z.object({})),
  restore: oc.input(byId).output(adapterEntry),
  /** deletes a trashed adapter's files for good */
  purge: oc.input(byId).output(z.object({})),
  /** hashes its files and its base model afresh */
  verify: oc.input(byId).output(verification),
  /**
   * an EffiLoRA adapter, a PEFT LoRA folder, a GGUF LoRA or an .effilora file; `model` opens its base model, by default the
   * one that the adapter's recipe names
   */
  import: oc.input(importRequest).output(adapterEntry),
  /** the same as a job: it goes on whoever looks */
  startImport: oc.input(importRequest).output(job),
  /** a copy without some heads */
  prune: oc
    .input(
      byId.extend({
        name: z.string().trim().min(1).max(120),
        heads: z.array(z.string().max(128)).min(1).max(1_000_000),
        renormalize: z.boolean().default(false),
      }),
    )
    .output(adapterEntry),
  /** counts up whenever the library changes */
  watch: oc.output(eventIterator(z.object({ version: z.number() }))),
};
