import fs from 'node:fs';
import path from 'node:path';
import { PAINTING_MODEL } from '../../src-main/models/default-model.ts';

/** Why tests with the model that makes pictures can't run; undefined: they can. */
export const noPaintingModel = fs.existsSync(path.join(PAINTING_MODEL.folder, 'model_index.json'))
  ? undefined
  : 'needs the weights in resources/diffusion-default';
