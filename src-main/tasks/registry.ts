import type { ModelFile } from '../models/types.ts';
import { language } from './language/index.ts';
import type { TextTask } from './task.ts';
import { visionLanguage } from './vision-language/index.ts';

/** The task that a base model is trained in. The only place that knows the tasks by name. */
export function taskOf({ config, sees }: Pick<ModelFile, 'config' | 'sees'>): TextTask {
  return sees ? visionLanguage : TASKS[config.architecture];
}

const TASKS: Record<ModelFile['config']['architecture'], TextTask> = {
  llama: language,
  qwen2: language,
  qwen3: language,
  gemma3: language,
};
