import type { Held } from '../engine/index.ts';
import type { AnyModelFile } from '../models/open.ts';
import { taskOf } from '../tasks/registry.ts';
import type { Task } from '../tasks/task.ts';
import { engineFacts } from './engine-facts.ts';

/** What a model takes of an engine's memory at least: auto takes none that doesn't hold it. */
export function heldBy(file: AnyModelFile): Held {
  const task: Task = taskOf(file);
  return (engine) => task.heldBytes(file, engineFacts(engine));
}
