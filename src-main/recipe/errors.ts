import { LineCounter, parseDocument, isMap, type Document } from 'yaml';
import type { z } from 'zod';
import { nearest } from '../engine/nearest.ts';

/** Every key a recipe may have, by the path it stands at. */
const KEYS: Record<string, string[]> = {
  '': ['model', 'dataset', 'method', 'training', 'engine', 'budget', 'init'],
  method: ['name', 'rank', 'heads', 'alpha', 'targets', 'vision', 'diffusion', 'share', 'router', 'dropout', 'rsLora', 'dora', 'reducer', 'vera', 'adalora'],
  'method.reducer': [
    'ratio', 'warmup', 'interval', 'beta', 'policy', 'importanceAtMost', 'temperature', 'schedule', 'finalStep', 'probe', 'minActivePerSite', 'tolerance',
    'maxParameters', 'maxStepSeconds',
  ],
  'method.vera': ['dInitial'],
  'method.adalora': ['targetRank', 'tInit', 'tFinal', 'deltaT', 'beta1', 'beta2', 'orthogonality'],
  'method.vision': ['tower', 'connector'],
  'method.diffusion': ['sites', 'textEncoder'],
  'training.diffusion': [
    'resolution', 'shapes', 'enlarge', 'crop', 'flip', 'trigger', 'captionDropout', 'shuffleTags', 'keepTags', 'minSnr', 'noiseOffset', 'times', 'sampling',
  ],
  'training.diffusion.sampling': ['prompts', 'negative', 'sampler', 'steps', 'guidance', 'seed', 'width', 'height'],
  training: [
    'steps', 'epochs', 'batch', 'accumulate', 'sequenceLength', 'packing', 'loss', 'learningRate', 'rateOfB', 'rateOfConnector', 'schedule', 'warmupSteps',
    'weightDecay', 'clipNorm', 'seed', 'precision', 'weights', 'recompute', 'evalSplit', 'evalEvery', 'patience', 'shuffle', 'checkpointEvery',
    'checkpointMinutes', 'keepCheckpoints', 'headsEvery', 'samples', 'tensorboard', 'long', 'evalExamples', 'diffusion',
  ],
  budget: ['memoryBytes', 'seconds'],
  dataset: ['path', 'weight', 'mapping', 'format', 'split', 'config', 'sheet', 'heldOut', 'acceptDropped'],
}; // prettier-ignore

/** One sentence for a recipe's first fault: file, line, key, and the nearest valid one. */
export function explainIssue(issue: z.core.$ZodIssue, document: Document, text: string, file: string): string {
  const place = issue.path.map(String);
  const where = (keys: string[]) => `${file}, line ${lineOf(text, keys)}`;
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0]!;
    const parent = place.filter((part) => !/^\d+$/.test(part)).join('.');
    const known = KEYS[parent] ?? [];
    const hint = known.length ? `; did you mean "${nearest(key, known)}"?` : '';
    return `${where([...place, key])}: the key "${[...place, key].join('.')}" is not known${hint}`;
  }
  const key = place.join('.') || 'the recipe';
  if (issue.code === 'invalid_value') {
    const written = String(document.getIn(issue.path) ?? '');
    const values = issue.values.map(String);
    return `${where(place)}: ${key} can't be "${written}"; did you mean "${nearest(written, values)}"? (possible: ${values.join(', ')})`;
  }
  if (issue.code === 'invalid_union' && key === 'dataset')
    return `${where(place)}: ${key} has to be a path or a list of {path, weight}`;
  if (issue.code === 'invalid_type' && document.getIn(issue.path) === undefined)
    return `${file}: the key "${key}" is missing`;
  const written = JSON.stringify(document.getIn(issue.path)) ?? '';
  return `${where(place)}: ${key} can't be ${written} (${issue.message})`;
}

/** 1-based line of the value at a path; of its parent where the path leads nowhere. */
function lineOf(text: string, keys: string[]): number {
  const lines = new LineCounter();
  const counted = parseDocument(text, { lineCounter: lines });
  for (let depth = keys.length; depth > 0; depth--) {
    const parent = depth === 1 ? counted.contents : counted.getIn(keys.slice(0, depth - 1), true);
    if (!isMap(parent)) continue;
    const pair = parent.items.find((item) => String((item.key as { value?: unknown })?.value) === keys[depth - 1]);
    const range = (pair?.key as { range?: [number, number, number] } | undefined)?.range;
    if (range) return lines.linePos(range[0]).line;
  }
  return 1;
}
