import { z } from 'zod';
import {
  EXPORT_CHOICES,
  EXPORT_FORMS,
  EXPORT_TARGETS,
  type ExportForm,
  type ExportTarget,
} from '../../src-preload/contract/choices.ts';
import { EXAMPLE_FORMATS } from '../data/types.ts';

export { EXPORT_FORMS, type ExportForm };

/** Those of models that make pictures; the others are of models that write. */
export type PictureTarget = {
  [Target in ExportTarget]: (typeof EXPORT_CHOICES)[Target] extends { ofPictures: true } ? Target : never;
}[ExportTarget];
export const isPictureTarget = (to: ExportTarget): to is PictureTarget => 'ofPictures' in EXPORT_CHOICES[to];
export const PICTURE_TARGETS: PictureTarget[] = EXPORT_TARGETS.filter(isPictureTarget);

/** A number type of what is written. */
export type ExportType = (typeof EXPORT_CHOICES)[ExportTarget]['types'][number];

/** What is to be exported, and how. */
export const exportRequestSchema = z.strictObject({
  /** a run's or adapter's folder, its adapter.safetensors, or a PEFT folder */
  adapter: z.string().min(1),
  to: z.enum(EXPORT_TARGETS),
  /** folder for the result; it may not hold anything yet */
  out: z.string().min(1),
  /** base model by path or name; default: the one in the adapter's recipe */
  model: z.string().min(1).optional(),
  /** dataset for calibration; default: the adapter's own training data */
  calibrate: z.string().min(1).optional(),
  /** how that one's columns are read; default: as they are recognised */
  calibrateAs: z
    .strictObject({
      format: z.enum(EXAMPLE_FORMATS).optional(),
      mapping: z.record(z.string(), z.string()).optional(),
      sheet: z.string().optional(),
    })
    .optional(),
  /** share of all heads to leave out, lowest importance first */
  drop: z.number().min(0).max(1).optional(),
  form: z.enum(EXPORT_FORMS).default('rank-r'),
  /** one of EXPORT_CHOICES[to].types; default its first */
  type: z.enum(['f32', 'f16', 'bf16', 'q8_0', 'q4_0', 'same']).optional(),
  engine: z.enum(['auto', 'tensorflow', 'webgpu', 'wasm', 'cpu']).default('auto'),
});
export type ExportRequest = z.input<typeof exportRequestSchema>;

export const EXPORT_STAGES = ['opening', 'calibrating', 'measuring', 'writing'] as const;

/** How far an export is. */
export interface ExportProgress {
  stage: (typeof EXPORT_STAGES)[number];
  /** of `total`, in the stage's own units */
  done: number;
  total: number;
  /** of the stage; undefined while nothing is done yet */
  secondsLeft?: number;
}

/** How close an export comes to the adapter. */
export interface FidelityReport {
  /** exact: the adapter's own mathematics, nothing approximated */
  form: ExportForm | 'exact';
  /** rank of the plain LoRA */
  rank: number;
  calibration: { dataset: string; tokens: number } | null;
  /** relative output error, sqrt(E|export - exact|^2 / E|exact|^2), by `<layer>.<site>`; averaged: with the router's mean instead */
  sites: { site: string; exported: number; averaged: number }[];
  /** the same over all sites' outputs */
  error: { exported: number; averaged: number };
  /** mean loss over the held-out label tokens; null without data */
  heldOut: { dataset: string; examples: number; base: number; exact: number; exported: number } | null;
  /** (base - exported) / (base - exact); null where it was not measured or the adapter gains nothing */
  gainKept: number | null;
  /** measured where `form` keeps less than GAIN_TO_KEEP: the rank N * r form */
  alternative: { form: ExportForm; rank: number; error: number; loss: number; gainKept: number } | null;
  /** what it means, in a sentence */
  summary: string;
}

export interface ExportResult {
  folder: string;
  files: { name: string; byteLength: number }[];
  /** null for `effilora`, which is the adapter itself */
  fidelity: FidelityReport | null;
  /** what is to be known of the base model, a sentence each */
  warnings: string[];
}
