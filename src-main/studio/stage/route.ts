import * as tf from '@tensorflow/tfjs-core';
import { padBatch } from '../../data/batches.ts';
import { isOfLanguage } from '../../effilora/methods/structure.ts';
import { UserError } from '../../engine/types.ts';
import { batchTensors, disposeBatch } from '../../models/batch.ts';
import type { BatchTensors } from '../../models/batch.ts';
import { languageOf } from '../../models/conversant.ts';
import type { AskedPrompt, Conversant } from '../../models/conversant.ts';
import { VisionLanguageModel } from '../../models/vision/vision-language.ts';
import { modelOnStage } from './loaded.ts';
import type { AdapterOnStage, LoadedModel } from './loaded.ts';
import { observed } from './observed.ts';
import { routedPictures, routedSeeing } from './route-pictures.ts';
import type { Act, RouteEvent, RouteJob, Routed } from './types.ts';

/** More tokens than this of one text are not looked at; nor, with pictures, more than that. */
const MOST_TOKENS = 1_024;
const MOST_WITH_PICTURES = 4_096;

/** Which head serves each token of a text at one site, or each patch of a picture: omega = softmax(router x) (docs/method.md, Forward). */
export async function routeJob(job: RouteJob, act: Act<RouteEvent>): Promise<void> {
  const stage = await modelOnStage(job, act.tell);
  const on = await stage.adapter(job.folder, job.off);
  const route = isOfLanguage(job.site) ? routedPrompt : routedSeeing;
  act.tell({ kind: 'routed', ...(await route(stage, on, job, act)) });
}

async function routedPrompt(
  stage: LoadedModel,
  on: AdapterOnStage,
  job: RouteJob,
  act: Act<RouteEvent>,
): Promise<Routed> {
  const { file, model } = stage;
  const { tokenizer, chatTemplate: template, name } = file;
  if (!tokenizer) throw new UserError(`${name} has no tokenizer, so it can't read text. Add its tokenizer.json.`);
  const { text, pictures = [] } = job;
  const content = [...pictures.map(() => ({ type: 'image' })), { type: 'text', text }];
  // A text is read as it stands; one about pictures as the playground asks it, which has a place for them.
  const prompt: Omit<AskedPrompt, 'text'> =
    pictures.length === 0
      ? { ids: tokenizer.encode(text, { addSpecialTokens: true }) }
      : await stage.asked({ tokenizer, template }, { messages: [{ role: 'user', content }], pictures }, act, on);
  const most = Math.min(pictures.length ? MOST_WITH_PICTURES : MOST_TOKENS, file.config.contextLength);
  const shown = (prompt.seen?.places.findLastIndex((place) => place >= 0) ?? -1) + 1;
  if (shown > most)
    throw new UserError(
      `With its pictures the question has ${shown} tokens, and ${most} can be looked at. Take smaller pictures, or fewer.`,
    );
  const ids = prompt.ids.slice(0, most);
  if (ids.length === 0) throw new UserError('The text has no tokens. Write something to look at.');
  const batch = tensorsOf(model, { ...prompt, ids });
  try {
    const omega = await observed(on, job, () =>
      tf.tidy(() => void languageOf(model).hidden(batch, { adaptation: on.adapter, recompute: false })),
    );
    const { routed, whose } = await routedPictures(stage, job, prompt, omega);
    const tokens: Routed['tokens'] = [];
    for (const [at, id] of ids.entries()) {
      const of = whose(at);
      const last = tokens.at(-1);
      if (!of) tokens.push({ text: tokenizer.decode([id]), omega: omega[at]! });
      else if (!last || !('part' in last) || last.part !== of.part || last.picture !== of.picture) tokens.push(of);
    }
    return { tokens, left: prompt.ids.length - ids.length, pictures: routed };
  } finally {
    disposeBatch(batch);
  }
}

/** A prompt as one row on the engine, what it sees in its places. */
function tensorsOf(model: Conversant, { ids, seen, pictures = [] }: Omit<AskedPrompt, 'text'>): BatchTensors {
  const inputIds = Int32Array.from(ids);
  const batch = padBatch([{ inputIds, labels: inputIds }]);
  const { config } = languageOf(model);
  if (!(model instanceof VisionLanguageModel) || !seen) return batchTensors(config, batch);
  const places = new Int32Array(batch.inputIds.length).fill(-1);
  places.set(seen.places.subarray(0, ids.length));
  const { hiddenSize } = config;
  const features = tf.tensor2d(seen.features, [seen.features.length / hiddenSize, hiddenSize]);
  const laid = model.laid({ ...batch, grids: pictures.flatMap(({ grids }) => grids) });
  return { ...batchTensors(config, laid), seen: { features, places: tf.tensor1d(places, 'int32') } };
}
