import { adapters } from './adapters.ts';
import { datasets } from './datasets.ts';
import { hub } from './hub.ts';
import { inspector } from './inspector.ts';
import { evaluations } from './evaluations.ts';
import { exporting } from './exporting.ts';
import { jobs } from './jobs.ts';
import { files, machine } from './machine.ts';
import { models } from './models.ts';
import { plans } from './plans.ts';
import { playground } from './playground.ts';
import { runs } from './runs.ts';
import { serving } from './serving.ts';
import { drafts, settings } from './settings.ts';
import { storage } from './storage.ts';

/** Every call and every stream between a view and the studio, whatever carries them. */
export const contract = {
  machine,
  files,
  models,
  datasets,
  hub,
  plans,
  runs,
  adapters,
  inspector,
  playground,
  evaluations,
  exporting,
  jobs,
  serving,
  settings,
  storage,
  drafts,
};
export type Contract = typeof contract;

export * from './adapters.ts';
export * from './dataset-tables.ts';
export type { CaptionChange, CaptionPage } from './captions.ts';
export * from './datasets.ts';
export type { CheckEvent, EngineReport, MachineReport } from './doctor.ts';
export type { Download, HubChoice, HubEntry } from './hub.ts';
export type { EngineStatus, FolderListing, FoundKind, GpuStatus, InstallEvent, MachineStatus } from './machine.ts';
export * from './curves.ts';
export * from './inspector.ts';
export type { ModelEntry, PictureModel } from './models.ts';
export type { Painting } from './painting.ts';
export type { ShownPicture } from './pictures.ts';
export * from './plans.ts';
export * from './evaluations.ts';
export * from './exports.ts';
export type { Job, JobResult } from './jobs.ts';
export * from './playground.ts';
export * from './runs.ts';
export type { Served } from './serving.ts';
export { draft, keptDraft, settingsValues } from './settings.ts';
export type { Draft, KeptDraft, SettingsValues } from './settings.ts';
export type { SpareItem } from './storage.ts';
