import fs from 'node:fs';
import path from 'node:path';
import { adviceFor, type Advice, type Measured } from '../../src-preload/advice.ts';
import { parseRecipe } from '../recipe/recipe.ts';
import type { SampleLine } from '../tasks/task.ts';
import { allRecords, lastRecord } from '../studio/runs/files.ts';
import type { HeadsLine, MetricsLine } from '../trainer/telemetry.ts';

/** What a run's files say to do next, a paragraph each: the figure, how certain it is, and what to change. */
export async function adviceOn(folder: string): Promise<string[]> {
  return adviceFor(await measuredIn(folder)).map(
    ({ text, certainty, action }) => `${text} ${certainty}\n  ${todo(action, folder)}`,
  );
}

function todo(action: Advice['action'], folder: string): string {
  if ('change' in action) {
    const values = Object.entries(action.change).map(([key, value]) => `${key}: ${value}`);
    return `${action.label}: in its recipe ${values.join(', ')}`;
  }
  if (action.go === 'data') return `${action.label} to its dataset`;
  return `See what leaving heads out costs: effilora inspect ${path.relative('.', folder) || '.'} --drop 0.1,0.3,0.5 --dataset …`;
}

async function measuredIn(folder: string): Promise<Measured> {
  const { training } = parseRecipe(fs.readFileSync(path.join(folder, 'recipe.yaml'), 'utf8'), 'recipe.yaml');
  const start = await allRecords<Measured['metrics'][number]>(path.join(folder, 'start.json'));
  const metrics = await allRecords<MetricsLine>(path.join(folder, 'metrics.jsonl'));
  const samples = await allRecords<SampleLine>(path.join(folder, 'samples.jsonl'));
  const last = samples.at(-1)?.step;
  const heads = await lastRecord<HeadsLine>(path.join(folder, 'heads.jsonl'));
  return {
    metrics: [...start, ...metrics],
    answers: samples.flatMap((one) => ('answer' in one && one.step === last ? one : [])),
    importance: Object.values(heads?.importance ?? {}),
    learningRate: training.learningRate,
    steps: metrics.at(-1)?.step ?? 0,
  };
}
