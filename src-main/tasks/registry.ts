import type { DiffusionModelFile } from '../models/diffusion/model-file.ts';
import type { ModelFile } from '../models/types.ts';
import { diffusion } from './diffusion/index.ts';
import { language } from './language/index.ts';
import type { Task, TextTask } from './task.ts';
import { visionLanguage } from './vision-language/index.ts';

type OfTexts = Pick<ModelFile, 'makes' | 'config' | 'sees'>;
type OfPictures = Pick<DiffusionModelFile, 'makes'>;

/** The task that a base model is trained in. The only place that knows the tasks by name. */
export function taskOf(file: OfTexts): TextTask;
export function taskOf(file: OfTexts | OfPictures): Task;
export function taskOf(file: OfTexts | OfPictures): Task {
  if (file.makes === 'pictures') return diffusion;
  return file.sees ? visionLanguage : TASKS[file.config.architecture];
}

const TASKS: Record<ModelFile['config']['architecture'], TextTask> = {
  llama: language,
  qwen2: language,
  qwen3: language,
  gemma3: language,
};
