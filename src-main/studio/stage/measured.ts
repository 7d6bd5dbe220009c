import type { Adapter } from '../../effilora/adapter.ts';
import type { AdapterDescription } from '../../effilora/adapter-schema.ts';
import { taskOf } from '../../tasks/registry.ts';
import type { Evaluation, Task, TrainableModel, Watched } from '../../tasks/task.ts';
import { headEffects, type HeadEffects } from '../../trainer/head-effects.ts';
import { makesPictures } from '../library/models.ts';
import { examplesOnStage, picturesOnStage } from './data.ts';
import { emptyStage, modelOnStage } from './loaded.ts';
import { asOneGraph, painterOnStage, type LoadedPainter } from './loaded-painter.ts';
import type { MeasureJob } from './types.ts';

/** An adapter on its model, with the examples that it is measured on. */
export interface Measured {
  /** of the data */
  name: string;
  examples: unknown[];
  adapter: Adapter;
  description: AdapterDescription;
  /** of a model that makes pictures */
  painter?: LoadedPainter;
  evaluate(): Promise<Evaluation>;
  /** what every head does on the examples */
  effects(watched: Watched): Promise<HeadEffects>;
  /** to be called when it is measured */
  end(): void;
}

/** Opens what is measured, of whichever kind its model is. @throws UserError */
export async function measuredOn(
  asked: MeasureJob,
  tell: (event: { kind: 'loading'; what: string }) => void,
): Promise<Measured> {
  const { folder, off, data } = asked;
  if (makesPictures(asked.model)) {
    const painter = await painterOnStage(asked, tell, emptyStage);
    const on = await painter.adapter(folder, { off });
    try {
      const { name, examples } = await picturesOnStage(painter.file, data, on.description);
      asOneGraph(on.adapter);
      const calls = callsOn(painter.task, painter.network, examples, on.adapter);
      return { ...on, name, examples, painter, ...calls, end: () => on.adapter.dispose() };
    } catch (error) {
      on.adapter.dispose();
      throw error;
    }
  }
  const stage = await modelOnStage(asked, tell);
  const { adapter, description } = await stage.adapter(folder, off);
  const { name, examples } = await examplesOnStage(stage.file, data, description);
  const calls = callsOn(taskOf(stage.file), stage.model, examples, adapter);
  return { adapter, description, name, examples, ...calls, end: () => undefined };
}

/** What can be asked of an adapter on a model, of whichever task. */
const callsOn = <Example, Batch, Tensors extends object, Model extends TrainableModel>(
  task: Pick<Task<Example, Batch, Tensors, Model>, 'evaluate' | 'evaluated' | 'objective'>,
  model: Model,
  examples: Example[],
  adapter: Adapter,
): Pick<Measured, 'evaluate' | 'effects'> => ({
  evaluate: () => task.evaluate(model, examples, adapter),
  effects: (watched) => headEffects(task.objective(model), adapter, task.evaluated(examples), watched),
});
