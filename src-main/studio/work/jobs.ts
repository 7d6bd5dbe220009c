import { basename } from 'node:path';
import { configurationsToChoose } from '../../data/formats/dataset-card.ts';
import { guessAt } from '../../data/look/look.ts';
import { forgetGpus } from '../../engine/devices.ts';
import { listEngines } from '../../engine/index.ts';
import { setUpEngine } from '../../engine/install.ts';
import { UserError } from '../../engine/types.ts';
import { modelOfAdapter } from '../../exports/read-any.ts';
import { openModelFile, resolveModel, type AnyModelFile } from '../../models/open.ts';
import { isOfPictures, isOfTexts } from '../../recipe/written.ts';
import { readAdapter, writeStoredAdapter } from '../../trainer/adapter-folder.ts';
import { withoutHeads } from '../../trainer/drop.ts';
import { keepCheckpoint } from '../../trainer/keep-checkpoint.ts';
import { changeCaptions, undoCaptions } from '../datasets/caption-files.ts';
import { changeRows, undoRows } from '../datasets/own-rows.ts';
import { captionPage, copyCaptioned } from './captions.ts';
import { lookAtTable, ownTable, pageOfTable } from './tables.ts';
import { columnsOfFile } from './columns.ts';
import { summaryOf } from './model-summary.ts';
import { headSimilarity, rowSimilarity } from './similarity.ts';
import { importAdapter } from './import-adapter.ts';
import { previewPictures } from './picture-preview.ts';
import { proposePicturePlan } from './plan-pictures.ts';
import { previewMix } from './preview.ts';
import { proposePlan } from './plan.ts';
import { recognise } from './recognise.ts';
import { thumbnail } from './thumbnail.ts';
import type { Jobs } from './types.ts';

let engines: ReturnType<Jobs['engines']> | undefined;
/** The model opened last: a wizard asks for the same one again and again. */
let opened: { reference: string; file: AnyModelFile } | undefined;

export const jobs: Jobs = {
  engines({ refresh }) {
    if (refresh) {
      engines = undefined;
      forgetGpus();
    }
    return (engines ??= engineStates());
  },
  inspectModel: async ({ reference }) => summaryOf(await anyModelOf(reference)),
  thumbnail,
  async preview(request) {
    const file = await anyModelOf(request.model);
    return file.makes === 'pictures' ? previewPictures(file, request) : previewMix(file, request);
  },
  async propose(request) {
    const file = await anyModelOf(request.model);
    // What was fixed for a model of another kind says nothing to this one.
    const isOther = file.makes === 'pictures' ? isOfTexts : isOfPictures;
    const fixed = Object.fromEntries(Object.entries(request.fixed).filter(([key]) => !isOther(key)));
    return file.makes === 'pictures' ? proposePicturePlan(file, { ...request, fixed }) : proposePlan(file, { ...request, fixed }); // prettier-ignore
  },
  async identifyModel({ reference }) {
    const file = await anyModelOf(reference);
    return { name: file.name, sha256: await file.sha256() };
  },
  async modelOfAdapter({ place }) {
    const model = await modelOfAdapter(place);
    if (model !== undefined) return { model };
    throw new UserError(`${basename(place)} doesn't say which model it was made for. Choose its base model.`);
  },
  importAdapter: async ({ place, model, folder }) => importAdapter(place, await anyModelOf(model), folder),
  headSimilarity,
  rowSimilarity,
  async pruneAdapter({ from, folder, heads, renormalize }) {
    await writeStoredAdapter(folder, withoutHeads(await readAdapter(from), new Set(heads), renormalize));
  },
  keepCheckpoint: ({ folder }) => keepCheckpoint(folder),
  recognise: ({ path }) => recognise(path),
  columns: columnsOfFile,
  configurations: ({ path }) => configurationsToChoose(path),
  guess: ({ path, ...part }) => guessAt(path, part),
  look: lookAtTable,
  rows: pageOfTable,
  ownTable,
  editTable: ({ file, changes }) => changeRows(file, changes),
  undoTable: async ({ file }) => ({ undoable: await undoRows(file) }),
  captions: captionPage,
  changeCaptions: async ({ path, undo, change }) => ({ files: await changeCaptions(path, change, undo) }),
  undoCaptions: async ({ undo }) => ({ undoable: await undoCaptions(undo) }),
  ownCaptions: copyCaptioned,
  async install(_, log) {
    engines = undefined;
    await setUpEngine(log);
  },
};

async function engineStates(): ReturnType<Jobs['engines']> {
  const can = process.platform === 'linux' && process.arch === 'x64';
  const states = await listEngines();
  return states.map((engine) => ({ ...engine, installable: can && engine.name === 'tensorflow' && !engine.available }));
}

async function anyModelOf(reference: string): Promise<AnyModelFile> {
  if (opened?.reference === reference) return opened.file;
  await opened?.file.close();
  opened = undefined;
  const file = await openModelFile(await resolveModel(reference));
  opened = { reference, file };
  return file;
}
