import type { Adapter } from '../../effilora/adapter.ts';
import type { AdapterDescription } from '../../effilora/adapter-schema.ts';
import { taskOf } from '../../tasks/registry.ts';
import type { Evaluation, Watched } from '../../tasks/task.ts';
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
      const evaluate = () => painter.task.evaluate(painter.network, examples, on.adapter);
      const { task, network } = painter;
      const effects = (watched: Watched) => headEffects(task.objective(network), on.adapter, task.evaluated(examples), watched); // prettier-ignore
      return { ...on, name, examples, painter, evaluate, effects, end: () => on.adapter.dispose() };
    } catch (error) {
      on.adapter.dispose();
      throw error;
    }
  }
  const stage = await modelOnStage(asked, tell);
  const { adapter, description } = await stage.adapter(folder, off);
  const { name, examples } = await examplesOnStage(stage.file, data, description);
  const task = taskOf(stage.file);
  const evaluate = () => task.evaluate(stage.model, examples, adapter);
  const effects = (watched: Watched) => headEffects(task.objective(stage.model), adapter, task.evaluated(examples), watched); // prettier-ignore
  return { adapter, description, name, examples, evaluate, effects, end: () => undefined };
}
