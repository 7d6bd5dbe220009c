import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type {
  AdapterDetail,
  AdapterEntry,
  Recipe,
  RunSummary,
  Verification,
} from '../../../src-preload/contract/index.ts';
import { UserError } from '../../engine/types.ts';
import type { Library } from '../database/open.ts';
import type { RunRow, RunStore } from '../runs/store.ts';
import type { Worker } from '../work/worker.ts';
import { ADAPTER_FILES, settlePair } from '../../trainer/adapter-pair.ts';
import { adapterFacts, copyAdapter, describedIn, hashesIn, headsOf } from './folder.ts';
import { AdapterStore } from './store.ts';
import type { AdapterChange, AdapterRow, Parent } from './store.ts';

/** Runs that ended with an adapter worth keeping. */
const KEPT = ['finished', 'stopped'];

/**
 * The adapters a user keeps: their files under `folder`, one folder each, and their rows. Emits `change` after every change.
 * Nothing is entered before its files are whole.
 */
export class AdapterLibrary extends EventEmitter<{ change: [] }> {
  readonly store: AdapterStore;
  /** entering is done one by one: a run is never entered twice */
  private entering: Promise<void> = Promise.resolve();
  version = 0;

  constructor(
    library: Library,
    private readonly runs: RunStore,
    private readonly worker: Worker,
    readonly folder: string,
  ) {
    super();
    this.setMaxListeners(0);
    this.store = new AdapterStore(library);
  }

  /** Where the files of the adapter with this id lie, or will. */
  folderOf(id: string): string {
    return join(this.folder, id);
  }

  /** Takes in the adapters of runs that ended and aren't in yet, e.g. while no studio was open. */
  enterEnded(): Promise<void> {
    this.entering = this.entering.then(async () => {
      const ended = this.runs.list(false).filter((run) => KEPT.includes(run.status) && isNew(run));
      for (const run of ended) await this.enterRun(run).catch((error: unknown) => console.error(error));
    });
    // What could not be entered, as the library can't be read, is tried again with the next run.
    this.entering = this.entering.catch((error: unknown) => console.error(error));
    return this.entering;
  }

  /** A run's adapter under the run's name; one that was resumed and ends again replaces what it left before. */
  private async enterRun(run: RunRow): Promise<void> {
    await settlePair(run.folder);
    if (!ADAPTER_FILES.every((name) => existsSync(join(run.folder, name)))) return;
    const before = this.store.ofRun(run.id);
    // The run's own id: whoever enters it again after a crash takes the place of what was left without a row.
    const id = before?.id ?? run.id;
    const folder = this.folderOf(id);
    try {
      // By the run's name: whoever tries again after a crash takes what that left away.
      await copyAdapter(run.folder, folder, join(this.folder, `${run.id}.partial`));
      const { model, init } = JSON.parse(run.recipe) as Recipe & { init?: string };
      const facts = await adapterFacts(folder, model);
      const parents = init ? this.parentsAt(init) : [];
      this.store.add({ id, name: before?.name ?? run.name, folder, runId: run.id, origin: 'trained' }, facts, parents);
    } catch (error) {
      // The run may have been deleted for good meanwhile: then nobody knows of the copy.
      if (!before) await rm(folder, { recursive: true, force: true });
      throw error;
    }
    this.runs.change(run.id, { entered_at: Date.now() });
    this.changed();
  }

  /** The adapter whose files a run started from. */
  private parentsAt(init: string): Parent[] {
    const folder = init.endsWith('.safetensors') ? dirname(init) : init;
    const parent = this.store
      .rows()
      .find((row) => resolve(row.folder) === resolve(folder) || this.runFolder(row) === resolve(folder));
    return parent ? [{ id: parent.id, relation: 'trained from' }] : [];
  }

  private runFolder(row: AdapterRow): string | undefined {
    return row.run_id === null ? undefined : resolve(this.runs.row(row.run_id).folder);
  }

  async detail(id: string): Promise<AdapterDetail> {
    const row = this.store.row(id);
    const description = await describedIn(row.folder);
    return {
      adapter: this.store.entry(row),
      recipe: description.recipe,
      metrics: description.metrics,
      structure: { ...description.method },
      datasets: description.datasets,
      modelSha256: description.baseModel.sha256,
      heads: await headsOf(row.folder, description),
      blocks: description.blocks,
    };
  }

  change(id: string, change: AdapterChange): AdapterEntry {
    const row = this.store.change(id, change);
    this.changed();
    return this.store.entry(row);
  }

  async duplicate(id: string): Promise<AdapterEntry> {
    const row = this.present(id);
    return this.make(
      { name: `${row.name} copy`, origin: 'duplicate', parents: [{ id, relation: 'copy of' }] },
      this.modelReference(row),
      (folder) => copyAdapter(row.folder, folder),
    );
  }

  /** A copy without some heads. @throws UserError when a head isn't the adapter's */
  async prune(id: string, name: string, heads: string[], renormalize: boolean): Promise<AdapterEntry> {
    const row = this.present(id);
    return this.make(
      { name, origin: 'pruned', parents: [{ id, relation: 'pruned from' }] },
      this.modelReference(row),
      async (folder) => this.worker.call('pruneAdapter', { from: row.folder, folder, heads, renormalize }),
    );
  }

  /** Reads an adapter of any known kind and checks it against its base model before anything is kept, under `id` where it's given. */
  async import(place: string, model: string, { id, signal }: { id?: string; signal?: AbortSignal } = {}) {
    const name = basename(place).replace(/\.(effilora|gguf|safetensors)$/i, '');
    return this.make({ id, name, origin: 'imported', parents: [] }, model, async (folder) =>
      this.worker.call('importAdapter', { place, model, folder }, { signal }),
    );
  }

  /** Enters what `write` puts into a new folder; where it fails, nothing is left of it. */
  async make(
    { id = randomUUID(), ...entry }: { id?: string; name: string; origin: AdapterEntry['origin']; parents: Parent[] },
    modelReference: string,
    write: (folder: string) => Promise<unknown>,
  ): Promise<AdapterEntry> {
    const folder = this.folderOf(id);
    try {
      await write(folder);
      const facts = await adapterFacts(folder, modelReference);
      const row = this.store.add({ id, folder, runId: null, ...entry }, facts, entry.parents);
      this.changed();
      return this.store.entry(row);
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** The adapter's row, where its files are there. @throws UserError when they are not */
  present(id: string): AdapterRow {
    const row = this.store.row(id);
    if (this.store.entry(row).missing)
      throw new UserError(`The files of "${row.name}" are gone from ${row.folder}. Put them back, or import it again.`);
    return row;
  }

  modelReference(row: AdapterRow): string {
    return this.store.entry(row).modelReference;
  }

  async verify(id: string): Promise<Verification> {
    const row = this.store.row(id);
    const kept = JSON.parse(row.hashes) as Record<string, string>;
    const now = await hashesIn(row.folder);
    const files = ADAPTER_FILES.map((name) => {
      const message = !now[name]
        ? 'The file is gone.'
        : now[name] === kept[name]
          ? 'As it was kept.'
          : 'It was changed since it was kept.';
      return { name, ok: now[name] !== undefined && now[name] === kept[name], message };
    });
    return { checks: [...files, await this.verifyModel(row)] };
  }

  private async verifyModel(row: AdapterRow): Promise<Verification['checks'][number]> {
    const { modelSha256, modelReference } = JSON.parse(row.facts) as { modelSha256: string; modelReference: string };
    const name = `Base model ${row.model}`;
    if (/^0*$/.test(modelSha256))
      return { name, ok: true, message: 'This kind of adapter does not say which file it was made for.' };
    try {
      const { sha256 } = await this.worker.call('identifyModel', { reference: modelReference });
      const same = sha256 === modelSha256;
      return { name, ok: same, message: same ? 'The file it was trained on.' : 'Another file than it was trained on.' };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return { name, ok: false, message: error.message };
    }
  }

  /** Deletes a trashed adapter for good. */
  async purge(id: string): Promise<void> {
    const row = this.store.row(id);
    if (row.trashed_at === null) throw new UserError(`"${row.name}" is not in the trash. Delete it first.`);
    await rm(row.folder, { recursive: true, force: true });
    this.store.delete(id);
    this.changed();
  }

  changed(): void {
    this.version += 1;
    this.emit('change');
  }

  /** Enters each run's adapter as the run ends. */
  followRuns(queue: EventEmitter<{ change: []; ended: [RunSummary] }>): void {
    queue.on('ended', () => void this.enterEnded());
    void this.enterEnded();
  }
}

/** A run that was never entered, or that ended again since. */
function isNew(run: RunRow): boolean {
  return run.entered_at === null || run.entered_at < (run.ended_at ?? 0);
}
