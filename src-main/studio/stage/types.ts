import type { WrittenIn } from '../../engine/products.ts';
import type { ExportForm, ExportProgress, ExportRequest, ExportResult } from '../../exports/request.ts';
import type { SharesByTime } from '../../tasks/task.ts';
import type { Reading } from '../datasets/library.ts';
import type { SamplerName } from '../../models/diffusion/noise/samplers/index.ts';
import type { Conversation } from '../../models/types.ts';
import type { Patches } from '../../models/vision/patches-on.ts';

/** A base model to run, on the engine of the settings. */
export interface OnModel {
  /** path or name */
  model: string;
  engine: 'auto' | 'tensorflow' | 'webgpu' | 'wasm' | 'cpu';
  /** what its answers are written in; default f32 */
  products?: WrittenIn;
}

/** Heads that are left out besides those the adapter has left out itself. */
export interface Off {
  heads: string[];
  renormalize: boolean;
}

/** One column of the playground: the base model, or an adapter on it. */
export interface ColumnOnStage {
  /** the adapter's folder; undefined: the base model alone */
  folder?: string;
  off?: Off;
}

/** Examples to measure on: a dataset by path, or what an adapter's training held out. */
export interface DataOnStage {
  path?: string;
  /** how its columns are read; default: as they are recognised */
  reading?: Reading;
  /** at most so many, the first ones */
  examples: number;
}

export interface SamplingOnStage {
  maxTokens: number;
  temperature: number;
  topP: number;
  topK: number;
  seed: number;
  /** likeliest tokens given with each */
  alternatives: number;
}

/** A picture that is asked about: where it lies, or its bytes. */
export type PictureOnStage = { name: string } & ({ path: string } | { bytes: Uint8Array });

/** A conversation with its pictures, in the order of the parts `{ type: 'image' }` of its messages. */
export interface SeenConversation extends Conversation {
  pictures?: PictureOnStage[];
}

export interface GenerateJob extends OnModel {
  columns: (ColumnOnStage & SeenConversation)[];
  /** Jinja, instead of the model's own */
  template?: string;
  sampling: SamplingOnStage;
}

/** A token with its probability, and the likeliest ones in its place. */
export interface TokenOnStage {
  text: string;
  probability: number;
  top: { text: string; probability: number }[];
}

export type GenerateEvent =
  | { kind: 'loading'; what: string }
  /** the adapter is on the model; how long that took, and the prompt's length */
  | { kind: 'ready'; column: number; milliseconds: number; promptTokens: number }
  | ({ kind: 'token'; column: number; /** text that is whole now */ piece: string } & TokenOnStage)
  | { kind: 'done'; column: number; tokens: number; seconds: number; reason: 'end' | 'length' };

/** An adapter that is measured, with some heads left out. */
export interface MeasureJob extends OnModel {
  folder: string;
  off?: Off;
  data: DataOnStage;
}

export interface CurveJob extends Omit<MeasureJob, 'off'> {
  ratios: number[];
  /** one random order each */
  seeds: number[];
  renormalize: boolean;
}
export interface CurvePoint {
  order: 'importance' | 'random';
  seed: number;
  ratio: number;
  dropped: number;
  loss: number;
}
export type CurveEvent =
  | { kind: 'loading'; what: string }
  | { kind: 'data'; name: string; examples: number }
  | { kind: 'point'; point: CurvePoint; done: number; total: number; secondsLeft: number };

export interface ProbeJob extends MeasureJob {
  prompt: string;
  maxTokens: number;
  /** how a model that makes pictures paints the prompt */
  painting?: Omit<Painting, 'prompt'>;
}
export type ProbeEvent =
  | { kind: 'loading'; what: string }
  | { kind: 'loss'; loss: number; examples: number; name: string }
  | { kind: 'answer'; piece: string }
  | ({ kind: 'painted' } & Painted);

/** The router's shares in so many equal parts of the time of noise. */
export interface ByTimeJob extends MeasureJob {
  parts: number;
}
export type ByTimeEvent =
  | { kind: 'loading'; what: string }
  | { kind: 'progress'; done: number; total: number }
  | ({ kind: 'shares'; name: string; examples: number } & SharesByTime);

/** Of every head what it does on the examples, to first order. */
export type LearnedJob = MeasureJob;
export interface LearnedHead {
  name: string;
  /** mean omega over what its site sees; null without a router */
  share: number | null;
  /** how much the loss would rise without it */
  rise: number;
}
export type LearnedEvent =
  | { kind: 'loading'; what: string }
  | { kind: 'progress'; done: number; total: number }
  | { kind: 'heads'; name: string; examples: number; loss: number; heads: LearnedHead[] };

/** The loss without each of some heads, one at a time. */
export interface WithoutJob extends MeasureJob {
  heads: string[];
}
export type WithoutEvent =
  | { kind: 'loading'; what: string }
  | { kind: 'progress'; done: number; total: number }
  | { kind: 'without'; head: string; loss: number; /** against the loss with all heads */ rise: number };

export interface RouteJob extends OnModel {
  folder: string;
  off: Off;
  /** as it stands; with pictures, a question about them */
  text: string;
  pictures?: PictureOnStage[];
  layer: number;
  site: string;
}
/** A picture with what each of its patches is to one site. */
export interface RoutedPicture {
  name: string;
  /** of the picture, pixels */
  width: number;
  height: number;
  /** the picture as a data URL, not larger than people look at */
  shown: string;
  /** omega of each patch, one number a head */
  parts: (Omit<Patches, 'at'> & { omega: number[][] })[];
}
/** Which head serves what, at one site. */
export interface Routed {
  /** the text's tokens with omega, one number a head; of a picture's patches, whose they are */
  tokens: ({ text: string; omega: number[] } | { picture: number; part: number })[];
  /** tokens behind those that were looked at */
  left: number;
  pictures: RoutedPicture[];
}
export type RouteEvent = { kind: 'loading'; what: string } | ({ kind: 'routed' } & Routed);

export interface EvaluateJob extends OnModel {
  columns: ColumnOnStage[];
  data: DataOnStage;
}
/** One example under one column: mean loss over its label tokens, and the option that was likeliest. */
export interface ExampleResult {
  loss: number;
  tokens: number;
  /** the answer that was chosen, or written */
  chosen?: string;
  /** how right it is, 0 to 1, and what told that; nothing of an example without such an answer */
  right?: number;
  by?: 'options' | 'agreement' | 'exact';
}
export type EvaluateEvent =
  | { kind: 'loading'; what: string }
  | { kind: 'examples'; name: string; examples: { question: string; answer: string; options: string[] }[] }
  | {
      kind: 'result';
      column: number;
      example: number;
      result: ExampleResult;
      done: number;
      total: number;
      secondsLeft: number;
    };

export interface TemplateJob extends OnModel, SeenConversation {
  template?: string;
}
export type TemplateEvent =
  | { kind: 'loading'; what: string }
  /** the template's source (empty where the model has none) and the prompt it makes */
  | { kind: 'template'; source: string; prompt: string; tokens: number };

export type ExportJob = ExportRequest;
export type ExportEvent = { kind: 'progress'; progress: ExportProgress } | { kind: 'exported'; result: ExportResult };

/** One column of pictures: besides, it can paint without the least important heads, or as an export would. */
export interface PaintColumn extends ColumnOnStage {
  /** the share of all heads that is left out */
  leaveOut?: number;
  /** the router shares among those that stay */
  renormalize?: boolean;
  /** as the plain LoRA that goes into other programs' files */
  form?: ExportForm;
  /** the share of what was learned that acts; default 1 */
  strength?: number;
}

/** How a picture is painted; what is missing is as usual for the model. */
export interface Painting {
  prompt: string;
  negative: string;
  seed: number;
  steps: number;
  guidance?: number;
  sampler?: SamplerName;
  /** pixels */
  width?: number;
  height?: number;
}
export interface PaintJob extends OnModel, Painting {
  columns: PaintColumn[];
}
/** The picture, a PNG as a data URL. */
export interface Painted {
  url: string;
  width: number;
  height: number;
}
export type PaintEvent =
  | { kind: 'loading'; what: string }
  /** steps of the column's picture that are done */
  | { kind: 'step'; column: number; done: number; of: number }
  | ({ kind: 'painted'; column: number; seconds: number } & Painted);

/** What runs where a base model is loaded. Each gives events until it ends. */
export interface StageJobs {
  generate: [GenerateJob, GenerateEvent];
  curve: [CurveJob, CurveEvent];
  probe: [ProbeJob, ProbeEvent];
  byTime: [ByTimeJob, ByTimeEvent];
  learned: [LearnedJob, LearnedEvent];
  without: [WithoutJob, WithoutEvent];
  route: [RouteJob, RouteEvent];
  evaluate: [EvaluateJob, EvaluateEvent];
  template: [TemplateJob, TemplateEvent];
  export: [ExportJob, ExportEvent];
  paint: [PaintJob, PaintEvent];
}
export type StageJob = keyof StageJobs;

export type ToStage = { id: number; job: StageJob; request: unknown } | { id: number; cancel: true };
export type FromStage =
  | { id: number; begun: true }
  | { id: number; event: unknown }
  | { id: number; done: true }
  | { id: number; error: string; forPeople: boolean };

/** What a job gets besides its request. */
export interface Act<Event> {
  tell(event: Event): void;
  /** aborted when nobody wants the rest */
  signal: AbortSignal;
}
