import { RUNS } from './structure-list.ts';
import { DATA, MODELS } from './structure-runs.ts';
import type { DataName, ModelName, StructureFinished, StructureRun } from './structure-runs.ts';
import { head, mean, millions, row, told } from './study.ts';

/** Trained numbers of LoRA of rank 16 on all sites of a model: its layers, 16 times their widths in and out. */
const LORA: Record<ModelName, number> = {
  'smollm2-135m': 30 * 16 * (6 * 576 + 1536 + 3 * 576 + 2 * 192 + 2 * 1536),
  'gemma3-270m': 18 * 16 * (5 * 640 + 1024 + 2048 + 1024 + 2 * 256 + 640 + 2 * 2048 + 640),
};

const average = ({ losses }: StructureFinished) => mean(Object.values(losses));
const validationOf = ({ validation }: StructureFinished) => mean(Object.values(validation!));

/** What structures did on one data, those with the lowest mean loss first; over seeds the mean, with the lowest and highest. */
function tableOf(
  model: ModelName,
  data: DataName,
  isFinal: boolean,
  finished: StructureFinished[],
): string | undefined {
  const runs = RUNS.filter((run) => run.model === model && run.data === data && run.isFinal === isFinal);
  const keyOf = ({ title, training: { steps, learningRate } }: StructureRun) => `${title}|${learningRate}|${steps}`;
  const groups = [...new Set(runs.map(keyOf))].flatMap((key) => {
    const ours = runs.filter((run) => keyOf(run) === key);
    const lines = ours.flatMap(({ name }) => finished.find((one) => one.name === name) ?? []);
    return lines.length > 0 ? [{ run: ours[0]!, lines, loss: mean(lines.map(average)) }] : [];
  });
  if (groups.length === 0) return undefined;
  const sets = Object.keys(groups[0]!.lines[0]!.losses);
  const rows = groups
    .sort((a, b) => a.loss - b.loss)
    .map(({ run, lines }) =>
      row([
        ...[run.title, run.training.learningRate, run.training.steps, lines.length, millions(lines[0]!.parameters)],
        told(
          lines.map(({ trained }) => (100 * trained) / LORA[model]),
          (value) => value.toFixed(0),
        ),
        ...sets.map((set) =>
          told(
            lines.map(({ losses }) => losses[set]!),
            (value) => value.toFixed(4),
          ),
        ),
        ...(sets.length > 1 ? [told(lines.map(average), (value) => value.toFixed(4))] : []),
        ...(run.isLong ? [told(lines.map(validationOf), (value) => value.toFixed(4))] : []),
      ]),
    );
  const columns = ['structure', 'rate', 'steps', 'seeds', 'trained, millions', 'in the end, % of LoRA’s of rank 16'];
  const rowsOf = Object.entries(DATA[data]).map(([set, count]) => `${count} of ${set}`);
  const title = `${rowsOf.join(', ')}; ${isFinal ? 'test sets' : 'validation rows'}, ${model}`;
  const means = [...(sets.length > 1 ? ['mean'] : []), ...(runs[0]!.isLong ? ['mean of validation rows'] : [])];
  return [title, '', ...head([...columns, ...sets, ...means]), ...rows].join('\n');
}

/** A table for each data, validation first. */
export function structureTables(finished: StructureFinished[]): string {
  const names = Object.keys(DATA) as DataName[];
  const models = Object.keys(MODELS) as ModelName[];
  const tables = models.flatMap((model) =>
    [false, true].flatMap((isFinal) => names.map((data) => tableOf(model, data, isFinal, finished))),
  );
  return tables.filter((table) => table !== undefined).join('\n\n');
}
