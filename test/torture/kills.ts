import fs from 'node:fs';
import path from 'node:path';
import { setImmediate as next, setTimeout as wait } from 'node:timers/promises';
import { parse } from 'yaml';
import type { Evaluation, Job, RunSummary } from '../../src-preload/contract/index.ts';
import { openLibrary } from '../../src-main/studio/database/open.ts';
import { readAdapter } from '../../src-main/trainer/adapter-folder.ts';
import { writeRandomAdapter } from '../support/adapters.ts';
import { buildProcesses } from '../support/processes.ts';
import { resultOf, smallRun, temporary, TINY_MODEL } from '../trainer/support.ts';
import { isThere, startStudio, until, type TortureStudio, type Victim } from './studio.ts';

/** After its studio was killed no process of it may live longer, milliseconds. */
const ORPHAN_MS = 30_000;

export type Work = 'training' | 'evaluation' | 'export' | 'import';

/**
 * Who is killed in the middle of what. The others have no part in it: the helper takes adapters in, those of an export that is kept,
 * too; the stage runs models for evaluations and exports; and the trainer trains.
 */
export const KILLS: [Victim, Work][] = [
  ['trainer', 'training'],
  ['studio', 'training'],
  ['stage', 'evaluation'],
  ['studio', 'evaluation'],
  ['stage', 'export'],
  ['helper', 'export'],
  ['studio', 'export'],
  ['helper', 'import'],
  ['studio', 'import'],
];

/** A part of the time that the work takes, or when the files of an adapter that it makes lie there and no row names them yet. */
export type Moment = number | 'adapter written';

/** A library with an adapter, and what its work comes to and how long it takes when nothing is killed. */
export class Arena {
  studio!: TortureStudio;
  private readonly recipe: object;
  private adapter = '';
  private whole!: ReturnType<typeof resultOf>;
  private measured!: Evaluation['columns'];
  private readonly took: Partial<Record<Work, number>> = {};

  private constructor(
    private readonly folder: string,
    private readonly built: string,
  ) {
    const model = this.at('model');
    fs.cpSync(TINY_MODEL, model, { recursive: true });
    const training = { steps: 24, evalEvery: 8, checkpointEvery: 5 };
    const file = smallRun(folder, { model, training });
    this.recipe = parse(fs.readFileSync(file, 'utf8')) as object;
  }

  static async open(): Promise<Arena> {
    const arena = new Arena(temporary('torture'), await buildProcesses());
    await writeRandomAdapter(arena.at('foreign'), arena.at('model'));
    arena.studio = await startStudio(arena.built, arena.folder);
    await arena.studio.call('settings.set', { engine: 'tensorflow' });
    arena.adapter = (await arena.studio.call<{ id: string }>('adapters.import', arena.toImport)).id;
    for (const work of ['training', 'evaluation', 'export', 'import'] as const) {
      const started = performance.now();
      await arena.undisturbed(work);
      arena.took[work] = performance.now() - started;
    }
    return arena;
  }

  async close(): Promise<void> {
    await this.studio.end();
    for (const folder of [this.folder, this.built]) fs.rmSync(folder, { recursive: true, force: true });
  }

  /** Kills `victim` in the middle of `work`, at this moment. Returns what was under way. @throws where anything is not as it has to be */
  async trial(victim: Victim, work: Work, moment: Moment): Promise<string> {
    const there = fs.readdirSync(this.at('adapters'));
    const begun = await this.begin(work);
    if (moment === 'adapter written') await this.untilWritten(there);
    else await wait(moment * this.took[work]!);
    const before = this.studio.processes();
    const processId = before[victim];
    if (processId === undefined) {
      await this.finish(work, begun);
      return 'nothing there to kill';
    }
    process.kill(processId, 'SIGKILL');
    if (victim === 'studio') {
      await this.studio.exited;
      await until(
        `no orphan of ${JSON.stringify(before)}`,
        () => Object.values(before).every((id) => !isThere(id)),
        ORPHAN_MS,
      );
      this.studio = await startStudio(this.built, this.folder);
    } else if (!this.studio.isAlive()) throw new Error(`The studio died with its ${victim}:\n${this.studio.said()}`);
    await this.finish(work, begun);
    await this.check();
    return victim;
  }

  /** Looks without a pause, as the row follows within milliseconds. */
  private async untilWritten(there: string[]): Promise<void> {
    const isWritten = (name: string) =>
      !there.includes(name) &&
      !name.endsWith('.partial') &&
      fs.existsSync(path.join(this.at('adapters'), name, 'adapter.json'));
    while (!fs.readdirSync(this.at('adapters')).some(isWritten)) await next();
  }

  private at(name: string): string {
    return path.join(this.folder, name);
  }

  private get toImport() {
    return { path: this.at('foreign'), model: this.at('model') };
  }

  private async undisturbed(work: Work): Promise<void> {
    const begun = await this.begin(work);
    if (work === 'training') {
      const { folder } = await this.untilRun(begun.id, 'finished');
      this.whole = resultOf(folder);
    } else {
      const job = await this.untilJob(begun.id, ['done']);
      if (work === 'evaluation') this.measured = await this.columnsOf(job);
    }
  }

  /** Starts it: the run or job. */
  private async begin(work: Work): Promise<{ id: string }> {
    const { studio } = this;
    if (work === 'training') return studio.call<RunSummary>('runs.create', { name: 'run', recipe: this.recipe });
    if (work === 'export')
      return studio.call<Job>('exporting.start', {
        id: this.adapter,
        to: 'peft',
        calibrate: this.at('data.jsonl'),
        keep: true,
      });
    if (work === 'import') return studio.call<Job>('adapters.startImport', this.toImport);
    const data = { path: this.at('data.jsonl'), examples: 24 };
    const asked = { name: 'evaluation', model: this.at('model'), adapters: [null, this.adapter], data };
    return studio.call<Job>('evaluations.start', asked);
  }

  /** To its end, again where it was interrupted, and the same as without that. */
  private async finish(work: Work, { id }: { id: string }) {
    if (work === 'training') {
      const { status } = await this.untilRun(id, 'finished', 'failed', 'interrupted');
      if (status !== 'finished') await this.studio.call('runs.resume', { id });
      const { folder } = await this.untilRun(id, 'finished', 'failed');
      equal(resultOf(folder), this.whole, 'the run’s numbers');
      await this.studio.call('runs.remove', { id });
      await this.studio.call('runs.purge', { id });
    } else {
      let job = await this.untilJob(id, ['done', 'failed', 'interrupted']);
      if (job.state !== 'done') job = await this.untilJob((await this.begin(work)).id, ['done']);
      if (work === 'evaluation') equal(await this.columnsOf(job), this.measured, 'the evaluation');
    }
  }

  private async columnsOf({ result }: Job): Promise<Evaluation['columns']> {
    const id = result!.evaluationId;
    return (await this.studio.call<{ evaluation: Evaluation }>('evaluations.get', { id })).evaluation.columns;
  }

  private untilRun(id: string, ...statuses: RunSummary['status'][]): Promise<RunSummary> {
    return until(`the run is ${statuses.join(' or ')}`, async () => {
      const { run } = await this.studio.call<{ run: RunSummary }>('runs.get', { id });
      return statuses.includes(run.status) && run;
    }) as Promise<RunSummary>;
  }

  private untilJob(id: string, states: Job['state'][]): Promise<Job> {
    return until(`the job is ${states.join(' or ')}`, async () => {
      const job = (await this.studio.call<Job[]>('jobs.list')).find((one) => one.id === id);
      return job && states.includes(job.state) && job;
    }) as Promise<Job>;
  }

  /** The library is whole, and everything under a final name. */
  private async check(): Promise<void> {
    // A run's adapter enters the library a moment after the run's end, and beginnings are cleared away as late.
    await until('nothing half written is left', () => this.strays().length === 0).catch(() =>
      equal(this.strays(), [], 'strays'),
    );
    const adapters = this.adapters();
    for (const { folder } of adapters) await readAdapter(folder);
    for (const name of fs.readdirSync(this.at('exports')))
      for (const file of ['adapter_model.safetensors', 'adapter_config.json', 'fidelity.json', 'README.md'])
        if (!fs.existsSync(path.join(this.at('exports'), name, file))) throw new Error(`exports/${name} lacks ${file}`);
    if (adapters.length > 10) await this.clear(adapters);
  }

  private adapters(): { id: string; folder: string }[] {
    const library = openLibrary(this.at('library.db'));
    const health = library.prepare('PRAGMA integrity_check').get() as { integrity_check: string };
    equal(health.integrity_check, 'ok', 'the library');
    const adapters = library.prepare('SELECT id, folder FROM adapters').all() as { id: string; folder: string }[];
    library.close();
    return adapters;
  }

  private strays(): string[] {
    const known = this.adapters().map(({ id }) => id);
    const partial = ['exports', 'adapters', 'runs'].flatMap((folder) =>
      fs.readdirSync(this.at(folder)).filter((name) => name.includes('.partial')),
    );
    return [...partial, ...fs.readdirSync(this.at('adapters')).filter((name) => !known.includes(name))];
  }

  /** What trials leave would slow down later ones. */
  private async clear(adapters: { id: string }[]): Promise<void> {
    for (const { id } of adapters.filter((one) => one.id !== this.adapter)) {
      await this.studio.call('adapters.remove', { id });
      await this.studio.call('adapters.purge', { id });
    }
  }
}

function equal(found: unknown, wanted: unknown, what: string): void {
  if (JSON.stringify(found) !== JSON.stringify(wanted))
    throw new Error(`Not the same: ${what} (${JSON.stringify(found).slice(0, 300)})`);
}
