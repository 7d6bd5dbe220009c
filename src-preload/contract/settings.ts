import { oc } from '@orpc/contract';
import { z } from 'zod';
import { mixPart } from './datasets.ts';

const values = z.object({
  theme: z.enum(['system', 'light', 'dark']),
  /** closing the window leaves a running training alone */
  keepRunning: z.boolean(),
  /** told when a run ends */
  notify: z.boolean(),
  engine: z.enum(['auto', 'tensorflow', 'webgpu', 'wasm', 'cpu']),
  /** folders the file browser and paths typed in may reach, besides the studio's own */
  folders: z.array(z.string().max(4096)).max(64),
});

export const settingsValues = z.object({
  theme: values.shape.theme.default('system'),
  keepRunning: values.shape.keepRunning.default(true),
  notify: values.shape.notify.default(true),
  engine: values.shape.engine.default('auto'),
  folders: values.shape.folders.default([]),
});
export type SettingsValues = z.infer<typeof settingsValues>;

/** The wizard as it was left: taken up again after a restart. */
export const draft = z.object({
  step: z.number().int().min(0).max(3).default(0),
  name: z.string().max(120).default(''),
  model: z.string().nullable().default(null),
  mix: z.array(mixPart).max(32).default([]),
  lossOn: z.enum(['answer', 'all']).default('answer'),
  memoryBytes: z.number().positive().nullable().default(null),
  seconds: z.number().positive().nullable().default(null),
  fixed: z.record(z.string(), z.unknown()).default({}),
});
export type Draft = z.infer<typeof draft>;

/** One that was put aside for another. */
export const keptDraft = z.object({ id: z.string().min(1).max(64), savedAt: z.number(), draft });
export type KeptDraft = z.infer<typeof keptDraft>;

const byId = z.object({ id: z.string().min(1).max(64) });

export const settings = {
  get: oc.output(settingsValues.extend({ hasHubToken: z.boolean(), dataFolder: z.string() })),
  /** only what is given changes */
  set: oc.input(values.partial()).output(settingsValues),
  /** an empty token forgets it */
  setHubToken: oc.input(z.object({ token: z.string().max(512) })).output(z.object({ kept: z.string() })),
};

export const drafts = {
  /** the one at hand */
  get: oc.output(draft),
  set: oc.input(draft).output(z.object({})),
  /** those put aside, newest first */
  list: oc.output(z.array(keptDraft)),
  /** begins another, and puts aside what had been begun: that is what comes back */
  begin: oc.input(z.object({ draft: draft.optional() })).output(z.object({ kept: keptDraft.nullable() })),
  /** goes on with one, and puts aside what had been begun */
  resume: oc.input(byId).output(draft),
  remove: oc.input(byId).output(z.object({})),
  /** brings back one that was removed */
  keep: oc.input(keptDraft).output(z.object({})),
};
