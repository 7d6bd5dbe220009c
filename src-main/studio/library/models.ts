import { createHash, randomUUID } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import type { ModelEntry, PictureModel } from '../../../src-preload/contract/index.ts';
import { isPackagedModelThere, PACKAGED_MODELS, PAINTING_MODEL, SEEING_MODEL } from '../../models/default-model.ts';
import { makesPicturesAt } from '../../models/diffusion/model-file.ts';
import { takesPictures } from '../../models/vision/takes-pictures.ts';
import { fastestMeasured, guessedSpeed } from '../../trainer/machine-speed.ts';
import type { Library } from '../database/open.ts';
import type { ModelSummary } from '../work/types.ts';
import { fitsIn, trainingBytes } from './needs.ts';
import { findModels, modelCaches } from './found.ts';
import type { FoundModel } from './found.ts';
import { nameOfModel } from './model-names.ts';

interface ModelRow {
  id: string;
  name: string;
  path: string;
  format: string;
  bytes: number;
  summary: string;
}

interface CatalogModel {
  name: string;
  parameters: number;
  bytes: number;
  licence: string;
  goodAt: string;
  languages?: string;
  source: string;
  /** a name the trainer resolves by itself */
  reference?: string;
  /** default GGUF where it has a reference, else Hugging Face */
  format?: string;
  /** of a model that makes pictures */
  pictures?: Pick<PictureModel, 'family' | 'side'>;
}

/** Tokens of 100 short examples: questions and answers of some sentences. */
const TOKENS_OF_100 = 10_000;
/** Of a step, a parameter and token: 2 forward, 2 for the input's gradient, and a tenth for the adapter and attention. */
const FLOPS_A_PARAMETER = 4.4;
const languageNames = new Intl.DisplayNames('en', { type: 'language' });

/** Models to choose from: the embedded default, what the user added, what other programs left, and the catalog. */
export class ModelLibrary {
  constructor(
    private readonly library: Library,
    private readonly catalogPath: string,
  ) {}

  async list(): Promise<{ models: ModelEntry[]; searched: string[] }> {
    const rows = this.library.prepare('SELECT * FROM models ORDER BY added_at DESC').all() as ModelRow[];
    const pace = paceHere();
    const added = rows.map((row) => libraryEntry(row, pace));
    const paths = new Set(rows.map((row) => row.path));
    const others = (await findModels()).filter((model) => !paths.has(model.path));
    const found = others.map((model) => foundEntry(model, pace));
    const catalog = JSON.parse(await readFile(this.catalogPath, 'utf8')) as { models: CatalogModel[] };
    const searched = modelCaches().map(({ place, folder }) => `${place}: ${folder}`);
    const known = catalog.models.map((model) => catalogEntry(model, pace));
    const models = [...added, ...found, ...known].sort(byOrigin);
    const seeing = await Promise.all(models.map(({ reference }) => seesAt(reference)));
    const told = models.map((model, i) => ({ ...model, sees: seeing[i]!, makesPictures: makesPictures(model.reference) })); // prettier-ignore
    return { models: told, searched };
  }

  add(path: string, summary: ModelSummary): ModelEntry {
    this.library
      .prepare(
        `INSERT INTO models (id, name, path, format, bytes, summary, added_at) VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (path) DO UPDATE SET summary = excluded.summary, bytes = excluded.bytes, added_at = excluded.added_at`,
      )
      .run(randomUUID(), summary.name, path, summary.format, summary.bytes, JSON.stringify(summary), Date.now());
    return libraryEntry(this.library.prepare('SELECT * FROM models WHERE path = ?').get(path) as ModelRow, paceHere());
  }

  remove(id: string): void {
    this.library.prepare('DELETE FROM models WHERE id = ?').run(id);
  }
}

/** Whether a model takes pictures, as its folder's config.json says; one that can't be read says so when it is opened. */
export const seesAt = (reference: string): Promise<boolean> =>
  reference === SEEING_MODEL.name ? Promise.resolve(true) : takesPictures(reference).catch(() => false);

/** Whether a model makes pictures, as its folder or its kind of file says. */
export function makesPictures(reference: string): boolean {
  if (reference === PAINTING_MODEL.name) return true;
  const found = statSync(reference, { throwIfNoEntry: false });
  return found !== undefined && makesPicturesAt(reference, found.isDirectory());
}

const ORIGINS: ModelEntry['origin'][] = ['default', 'library', 'found', 'catalog'];
function byOrigin(a: ModelEntry, b: ModelEntry): number {
  return ORIGINS.indexOf(a.origin) - ORIGINS.indexOf(b.origin);
}

/** How fast this machine learns. */
interface Pace {
  flopsPerSecond: number;
  /** by a run; else it is a guess */
  isMeasured: boolean;
}

/** Read once for a whole list: it lies in a file. */
function paceHere(): Pace {
  const measured = fastestMeasured();
  return { flopsPerSecond: measured ?? guessedSpeed(), isMeasured: measured !== undefined };
}

function needs(
  { parameters, bytes }: { parameters: number; bytes: number },
  { flopsPerSecond, isMeasured }: Pace,
): Pick<ModelEntry, 'needsBytes' | 'fits' | 'secondsA100' | 'secondsMeasured'> {
  const needsBytes = trainingBytes(parameters, bytes);
  return {
    needsBytes,
    fits: fitsIn(needsBytes, totalmem()),
    secondsA100: (TOKENS_OF_100 * FLOPS_A_PARAMETER * parameters) / flopsPerSecond,
    secondsMeasured: isMeasured,
  };
}

/** Summaries of earlier studios have them in the shape alone. */
const parametersOf = ({ parameters, shape }: ModelSummary) => parameters ?? shape?.parameters ?? 0;

/** Learning from a picture once: of a network's numbers so many products at each latent, 4 operations each with backward. */
const PRODUCTS_A_LATENT = 0.1;
const FLOPS_A_PRODUCT = 4;
/** Sides of a picture that become one latent, pixels. */
const LATENT = 8;

/** A guess from its size alone: where the parts of such a network lie tells more, and a plan reckons with that. */
function needsOfPictures({ parameters, side }: PictureModel, bytes: number, pace: Pace) {
  const latents = (side / LATENT) ** 2;
  const flops = 100 * FLOPS_A_PRODUCT * PRODUCTS_A_LATENT * parameters * latents;
  return { ...needs({ parameters, bytes }, pace), secondsA100: flops / pace.flopsPerSecond };
}

/** Codes as names; what is no code stays as it is written. */
function inWords(codes: string[] | undefined): string | undefined {
  const name = (code: string) => {
    try {
      return languageNames.of(code) ?? code;
    } catch {
      return code;
    }
  };
  return codes?.length ? codes.map(name).join(', ') : undefined;
}

function libraryEntry(row: ModelRow, pace: Pace): ModelEntry {
  const summary = JSON.parse(row.summary) as ModelSummary;
  return {
    id: row.id,
    name: nameOfModel(row.path),
    reference: row.path,
    origin: 'library',
    format: row.format,
    bytes: row.bytes,
    state: existsSync(row.path) ? 'ready' : 'missing',
    ...(summary.pictures
      ? needsOfPictures(summary.pictures, row.bytes, pace)
      : needs({ parameters: parametersOf(summary), bytes: row.bytes }, pace)),
    shape: summary.shape,
    pictures: summary.pictures,
    hasTokenizer: summary.hasTokenizer,
    warnings: summary.warnings,
    languages: inWords(summary.languages),
  };
}

/** Of the pictures that a model learned from, pixels, where it wasn't opened. */
const USUAL_SIDE = 512;

function foundEntry(model: FoundModel, pace: Pace): ModelEntry {
  // Without opening it: most GGUF files in such caches take about 0.6 bytes a parameter, folders 2.
  const parameters = model.bytes / (model.format === 'GGUF' ? 0.6 : 2);
  const isOfPictures = model.format === 'diffusers folder' || model.format === 'checkpoint in one file';
  const needed = isOfPictures ? needsOfPictures({ family: '', parameters, side: USUAL_SIDE }, model.bytes, pace) : needs({ parameters, bytes: model.bytes }, pace); // prettier-ignore
  return {
    id: `found:${createHash('sha256').update(model.path).digest('hex').slice(0, 16)}`,
    name: model.name,
    reference: model.path,
    origin: 'found',
    format: `${model.format}, in ${model.place}`,
    bytes: model.bytes,
    state: 'ready',
    ...needed,
  };
}

function catalogEntry(model: CatalogModel, pace: Pace): ModelEntry {
  const pictures = model.pictures && { ...model.pictures, parameters: model.parameters };
  return {
    id: `catalog:${model.name}`,
    name: model.reference ? nameOfModel(model.reference) : model.name,
    reference: model.reference ?? model.source,
    origin: model.reference ? 'default' : 'catalog',
    format: model.format ?? (model.reference ? 'GGUF' : 'Hugging Face'),
    bytes: model.bytes,
    licence: model.licence,
    goodAt: model.goodAt,
    languages: model.languages,
    source: model.source,
    state: model.reference ? packagedState(model.reference) : 'download',
    pictures,
    ...(pictures ? needsOfPictures(pictures, model.bytes, pace) : needs(model, pace)),
  };
}

function packagedState(name: string): 'ready' | 'fetchable' {
  if (name === PAINTING_MODEL.name) return 'ready';
  const packaged =
    name === SEEING_MODEL.name ? SEEING_MODEL.language : PACKAGED_MODELS.find((model) => model.name === name);
  return packaged && isPackagedModelThere(packaged) ? 'ready' : 'fetchable';
}
