import fs from 'node:fs';
import path from 'node:path';
import { adviceFor, type Advice, type Measured } from '../../src-preload/advice.ts';
import { parseRecipe } from '../trainer/recipe.ts';
import type { SampleLine } from '../trainer/samples.ts';
import type { HeadsLine, MetricsLine } from '../trainer/telemetry.ts';

/** What a run's files say to do next, a paragraph each: the figure, how certain it is, and what to change. */
export function adviceOn(folder: string): string[] {
  return adviceFor(measuredIn(folder)).map(
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

function measuredIn(folder: string): Measured {
  const { training } = parseRecipe(fs.readFileSync(path.join(folder, 'recipe.yaml'), 'utf8'), 'recipe.yaml');
  const metrics = lines<MetricsLine>(folder, 'metrics.jsonl');
  const samples = lines<SampleLine>(folder, 'samples.jsonl');
  const last = samples.at(-1)?.step;
  const heads = lines<HeadsLine>(folder, 'heads.jsonl').at(-1);
  return {
    metrics: [...lines<Measured['metrics'][number]>(folder, 'start.json'), ...metrics],
    answers: samples.filter(({ step }) => step === last),
    importance: Object.values(heads?.importance ?? {}),
    learningRate: training.learningRate,
    steps: metrics.at(-1)?.step ?? 0,
  };
}

/** Of a file that isn't there, none. */
function lines<Line>(folder: string, name: string): Line[] {
  const file = path.join(folder, name);
  if (!fs.existsSync(file)) return [];
  const text = fs.readFileSync(file, 'utf8').trim();
  return text === '' ? [] : text.split('\n').map((line) => JSON.parse(line) as Line);
}
