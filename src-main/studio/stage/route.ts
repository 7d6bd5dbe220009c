import * as tf from '@tensorflow/tfjs-core';
import { UserError } from '../../engine/types.ts';
import { batchTensors, disposeBatch } from '../../models/batch.ts';
import { padBatch } from '../../data/batches.ts';
import { languageOf } from '../../models/conversant.ts';
import { isOfLanguage } from '../../effilora/methods/structure.ts';
import { modelOnStage } from './loaded.ts';
import type { Act, RouteEvent, RouteJob } from './types.ts';

/** More tokens than this of one text are not looked at. */
const MOST_TOKENS = 1_024;

/** Which head serves each token of a text at one site: omega = softmax(router x) (docs/method.md, Forward). */
export async function routeJob(job: RouteJob, { tell }: Act<RouteEvent>): Promise<void> {
  const stage = await modelOnStage(job, tell);
  const { tokenizer, config, name } = stage.file;
  if (!tokenizer) throw new UserError(`${name} has no tokenizer, so it can't read text. Add its tokenizer.json.`);
  const { adapter } = await stage.adapter(job.folder, job.off);
  const ids = tokenizer
    .encode(job.text, { addSpecialTokens: true })
    .slice(0, Math.min(MOST_TOKENS, config.contextLength));
  if (ids.length === 0) throw new UserError('The text has no tokens. Write something to look at.');
  const inputIds = Int32Array.from(ids);
  const batch = batchTensors(config, padBatch([{ inputIds, labels: inputIds }]));
  let omega: tf.Tensor2D | undefined;
  adapter.observeRouter = (site, seen) => {
    if (site.block === job.layer && site.site === job.site) omega = tf.keep(tf.clone(seen));
  };
  try {
    tf.tidy(() => void languageOf(stage.model).hidden(batch, { adaptation: adapter, recompute: false }));
    if (!omega && !isOfLanguage(job.site))
      throw new UserError(`${job.site} is in what sees pictures, and a text doesn't pass it. Choose another site.`);
    if (!omega)
      throw new UserError(`The adapter has no router at layer ${job.layer}, ${job.site}. Choose another site.`);
    const values = await omega.data();
    const heads = omega.shape[1];
    const tokens = ids.map((id, t) => ({
      text: tokenizer.decode([id]),
      omega: [...values.slice(t * heads, (t + 1) * heads)],
    }));
    tell({ kind: 'tokens', tokens });
  } finally {
    adapter.observeRouter = undefined;
    omega?.dispose();
    disposeBatch(batch);
  }
}
