import type { Adapter } from '../../effilora/adapter.ts';
import type { AdapterDescription } from '../../effilora/adapter-schema.ts';
import { taskOf } from '../../tasks/registry.ts';
import type { Evaluation } from '../../tasks/task.ts';
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
      return { ...on, name, examples, painter, evaluate, end: () => on.adapter.dispose() };
    } catch (error) {
      on.adapter.dispose();
      throw error;
    }
  }
  const stage = await modelOnStage(asked, tell);
  const { adapter, description } = await stage.adapter(folder, off);
  const { name, examples } = await examplesOnStage(stage.file, data, description);
  const evaluate = () => taskOf(stage.file).evaluate(stage.model, examples, adapter);
  return { adapter, description, name, examples, evaluate, end: () => undefined };
}
