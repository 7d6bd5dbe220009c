// Trains one run of a study: `study-train.ts RECIPE FOLDER`. Prints one JSON line, a `Training`.
import fs from 'node:fs/promises';
import { parseRecipe } from '../../src-main/recipe/recipe.ts';
import { train } from '../../src-main/trainer/train.ts';
import type { Training } from './study.ts';

const [recipe, folder] = process.argv.slice(2) as [string, string];
const { seconds } = await train(parseRecipe(await fs.readFile(recipe, 'utf8'), recipe), folder);
const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
const training: Training = { seconds, cpuSeconds: (userCPUTime + systemCPUTime) / 1e6, peakBytes: maxRSS * 1024 };
console.log(JSON.stringify(training));
process.exit(0);
