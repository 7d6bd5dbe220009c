import type { ModelFile } from '../models/types.ts';
import { language } from './language/index.ts';
import type { Task } from './task.ts';

/** The task that a base model is trained in. The only place that knows the tasks by name. */
export function taskOf({ config }: Pick<ModelFile, 'config'>): Task {
  return TASKS[config.architecture];
}

const TASKS: Record<ModelFile['config']['architecture'], Task> = {
  llama: language,
  qwen2: language,
  qwen3: language,
  gemma3: language,
};
