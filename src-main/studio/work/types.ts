import type { Untried } from '../../engine/types.ts';
import type { PageRequest } from '../../data/look/page.ts';
import type {
  CaptionChange,
  CaptionPage,
  ChatPicture,
  DataLook,
  DatasetColumns,
  DatasetPreview,
  EngineStatus,
  FoundKind,
  MadeTable,
  MixPart,
  ModelEntry,
  PictureModel,
  Plan,
  PlanRequest,
  RowChange,
  RowPage,
  Similarities,
} from '../../../src-preload/contract/index.ts';

/** What is known of a model after opening it. */
export interface ModelSummary {
  name: string;
  format: string;
  bytes: number;
  parameters: number;
  /** of a model that writes */
  shape?: NonNullable<ModelEntry['shape']>;
  hasTokenizer?: boolean;
  /** of one that makes pictures */
  pictures?: PictureModel;
  warnings?: string[];
  languages?: string[];
}

export interface PreviewRequest {
  model: string;
  mix: MixPart[];
  sequenceLength: number;
  lossOn: 'answer' | 'all';
  evalSplit: number;
  /** of a model that makes pictures: what of training.diffusion was chosen */
  pictures?: Record<string, unknown>;
  /** the first rows of large files alone, for a first look */
  sample: boolean;
}

/** A dataset's file or folder; of a workbook the sheet, of a folder the configuration. */
export interface TablePlace {
  path: string;
  sheet?: string;
  config?: string;
}

/** Work that would hold up the studio's process: done in a process of its own. */
export interface Jobs {
  engines(request: { refresh: boolean }): Promise<(EngineStatus & { untried?: Untried })[]>;
  /** @throws UserError naming file and place when it is no model */
  inspectModel(request: { reference: string }): Promise<ModelSummary>;
  /** @throws UserError for one that isn't read */
  thumbnail(request: { name: string; bytes: Uint8Array }): Promise<Omit<ChatPicture, 'id' | 'name'>>;
  preview(request: PreviewRequest): Promise<DatasetPreview>;
  propose(request: PlanRequest): Promise<Plan>;
  /** hashes a model's file unless that was done before */
  identifyModel(request: { reference: string }): Promise<{ name: string; sha256: string }>;
  /** what opens an adapter's base model, by its recipe. @throws UserError when it has none */
  modelOfAdapter(request: { place: string }): Promise<{ model: string }>;
  /** writes a foreign adapter into `folder` in the studio's form, after checking it against its base model */
  importAdapter(request: { place: string; model: string; folder: string }): Promise<void>;
  headSimilarity(request: { folder: string; layer: number; site: string }): Promise<Similarities>;
  rowSimilarity(request: {
    folders: [string, string];
    name?: string;
  }): Promise<Similarities & { name: string; names: string[] }>;
  /** writes a copy without some heads into `folder` */
  pruneAdapter(request: { from: string; folder: string; heads: string[]; renormalize: boolean }): Promise<void>;
  /** ends a run that isn't going with the adapter of its last checkpoint. @throws UserError when it has none */
  keepCheckpoint(request: { folder: string }): Promise<{ step: number }>;
  /** @throws UserError where it is nothing the studio reads */
  recognise(request: { path: string }): Promise<FoundKind>;
  /** @throws UserError when the file can't be read */
  columns(request: Pick<MixPart, 'path' | 'sheet' | 'config'>): Promise<DatasetColumns>;
  /** of a folder: the names of its configurations where one is to be chosen; else none */
  configurations(request: { path: string }): Promise<string[]>;
  /** @throws UserError when the file can't be read, like those below */
  guess(request: TablePlace): Promise<Pick<DataLook, 'guess' | 'isRecognised'>>;
  look(request: TablePlace & { question?: string; answer?: string }): Promise<DataLook>;
  rows(request: TablePlace & PageRequest): Promise<RowPage>;
  /** makes `file`, a table of the studio's own, of what lies at `path` */
  ownTable(request: TablePlace & { file: string; encoding?: string }): Promise<Omit<MadeTable, 'id'>>;
  /** @throws UserError for a row that isn't there; then nothing is changed */
  editTable(request: { file: string; changes: RowChange[] }): Promise<void>;
  undoTable(request: { file: string }): Promise<{ undoable: number }>;
  /** a page of pictures with captions; `undo`: where it is remembered how to take changes back */
  captions(
    request: TablePlace & { undo: string; search: string; empty: boolean; from: number; count: number },
  ): Promise<CaptionPage>;
  /** @throws UserError where captions stand in a table; then nothing is changed */
  changeCaptions(request: { path: string; undo: string; change: CaptionChange }): Promise<{ files: number }>;
  undoCaptions(request: { undo: string }): Promise<{ undoable: number }>;
  /** copies pictures into `folder`, their captions beside them */
  ownCaptions(request: TablePlace & { folder: string }): Promise<{ pictures: number; left: string[] }>;
  /** @throws UserError when the engine can't be set up here */
  install(request: { engine: 'tensorflow' }, log: (line: string) => void): Promise<void>;
}
