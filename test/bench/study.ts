// What the studies of quality share: runs that are done once, one line of a file each, in processes of their own.
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Adapter } from '../../src-main/effilora/adapter.ts';
import type { StoredAdapter } from '../../src-main/trainer/stored-adapter.ts';

/** What training one run takes. */
export interface Training {
  /** of the steps alone */
  seconds: number;
  /** of the process, all threads together: what a busy machine changes little */
  cpuSeconds: number;
  /** largest resident size */
  peakBytes: number;
}

/** Numbers of an adapter, and those of them that train to the end. */
export interface Size {
  parameters: number;
  trained: number;
}

/** A run of a study; `method` undefined: the base model as it is. */
export interface StudyRun {
  /** also its folder's */
  name: string;
  method?: object;
}

/** A folder of finished runs. */
export class Study {
  private readonly folder: string;
  constructor(folder: string) {
    this.folder = path.resolve(folder);
  }

  at(name: string): string {
    return path.join(this.folder, name);
  }

  /** The lines of a file that are there. */
  async read<T>(name: string): Promise<T[]> {
    const text = await fs.readFile(this.at(name), 'utf8').catch(() => '');
    return linesOf(text);
  }

  async append(name: string, line: object): Promise<void> {
    await fs.mkdir(this.folder, { recursive: true });
    await fs.appendFile(this.at(name), `${JSON.stringify(line)}\n`);
  }

  /**
   * Trains `run`, unless one of this recipe ended before it was measured, measures it, and adds the line to results.jsonl; nothing
   * where that is there. `recipe` is complete, defaults filled in: what a finished run is known by.
   */
  async once(run: StudyRun, recipe: string, measure: (folder: string) => Promise<object>): Promise<void> {
    const before = await this.read<{ name: string; recipe: string }>('results.jsonl');
    if (before.some((one) => one.name === run.name && one.recipe === recipe)) return;
    console.error(run.name);
    const training = run.method ? await this.trained(run.name, recipe) : {};
    const measurement = await measure(run.method ? this.at(run.name) : '-');
    await this.append('results.jsonl', { name: run.name, recipe, ...training, ...measurement });
  }

  private async trained(name: string, recipe: string): Promise<object> {
    const told = this.at(`${name}/training.json`);
    const done = await fs.readFile(this.at(`${name}/recipe.yaml`), 'utf8').catch(() => '');
    const ended = done === recipe && (await fs.stat(told).catch(() => undefined));
    if (!ended) {
      await fs.rm(this.at(name), { recursive: true, force: true });
      await fs.mkdir(this.folder, { recursive: true });
      await fs.writeFile(this.at(`${name}.yaml`), recipe);
      const [training] = await programLines<Training>('./study-train.ts', [this.at(`${name}.yaml`), this.at(name)]);
      await fs.writeFile(told, JSON.stringify(training));
    }
    return JSON.parse(await fs.readFile(told, 'utf8')) as object;
  }
}

/** What a program of this folder prints. */
export async function programLines<T>(program: string, args: string[]): Promise<T[]> {
  const file = fileURLToPath(new URL(program, import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', file, ...args]);
  return linesOf(stdout);
}

/** Of JSON a line. */
export const linesOf = <T>(text: string): T[] =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as T);

/** Of an adapter's numbers, those that the last step could still move: all but the frozen heads'. */
export function sizeOf(adapter: Adapter, { description: { heads } }: StoredAdapter): Size {
  const sum = (of: (one: Adapter['trainables'][number]) => number) =>
    adapter.trainables.reduce((total, one) => total + of(one), 0);
  const moving = ({ variable, blocks, firstHead }: Adapter['trainables'][number]) => {
    if (firstHead === undefined) return variable.size;
    const names = adapter.heads.slice(firstHead, firstHead + blocks);
    return (variable.size / blocks) * names.filter((name) => heads[name]!.frozenSince === null).length;
  };
  return { parameters: sum(({ variable }) => variable.size), trained: sum(moving) };
}

/** A row of a table in Markdown. */
export const row = (cells: (string | number)[]) => `| ${cells.join(' | ')} |`;
export const head = (cells: string[]) => [row(cells), row(cells.map(() => '---'))];
export const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
/** Mean and, of several, smallest to largest. */
export const told = (values: number[], text: (value: number) => string) =>
  values.length === 1
    ? text(values[0]!)
    : `${text(mean(values))} (${text(Math.min(...values))} to ${text(Math.max(...values))})`;
/** Of runs, what `of` says of each; nothing where the first says nothing. */
export const toldOf =
  <Run>(runs: Run[]) =>
  (of: (one: Run) => number | undefined, text: (value: number) => string): string =>
    of(runs[0]!) === undefined ? '' : told(runs.map((one) => of(one)!), text); // prettier-ignore
/** A run's name, which is its folder's, too, from its row's title. */
export const namedAfter = (title: string, seed: number): string =>
  `${title.replaceAll(/[^a-zA-Z0-9]+/g, '-').replace(/-$/, '')}-seed${seed}`;
export const percent = (share: number) => (100 * share).toFixed(1);
export const millions = (count: number) => (count / 1e6).toFixed(2);
