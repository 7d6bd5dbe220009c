import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { AdapterEntry } from '../../../src-preload/contract/index.ts';
import { UserError } from '../../engine/types.ts';
import { nameOfModel } from '../library/model-names.ts';
import type { Library } from '../database/open.ts';
import type { AdapterFacts } from './folder.ts';

export interface AdapterRow {
  id: string;
  name: string;
  folder: string;
  run_id: string | null;
  origin: AdapterEntry['origin'];
  method: string;
  model: string;
  bytes: number;
  eval_loss: number | null;
  notes: string;
  tags: string;
  /** AdapterFacts as JSON */
  facts: string;
  /** SHA-256 by file name, as JSON */
  hashes: string;
  created_at: number;
  archived_at: number | null;
  trashed_at: number | null;
}

export interface AdapterFilter {
  text: string;
  method?: string;
  model?: string;
  tag?: string;
  show: 'active' | 'archived' | 'trash';
}

/** The parts of a row that the user changes. */
export type AdapterChange = Partial<Pick<AdapterRow, 'name' | 'notes' | 'tags' | 'archived_at' | 'trashed_at'>>;

export interface Parent {
  id: string;
  relation: string;
}

/** The adapters of a library. Every change is one statement or one transaction. */
export class AdapterStore {
  constructor(private readonly library: Library) {}

  add(
    adapter: { id: string; name: string; folder: string; runId: string | null; origin: AdapterEntry['origin'] },
    facts: AdapterFacts,
    parents: Parent[] = [],
  ): AdapterRow {
    const { method, model, bytes, evalLoss, hashes, ...rest } = facts;
    this.library.transaction(() => {
      this.library
        .prepare(
          `INSERT INTO adapters (id, name, folder, run_id, origin, method, model, bytes, eval_loss, facts, hashes, created_at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
           ON CONFLICT (id) DO UPDATE SET method = excluded.method, model = excluded.model, bytes = excluded.bytes,
             eval_loss = excluded.eval_loss, facts = excluded.facts, hashes = excluded.hashes`,
        )
        .run(
          adapter.id,
          adapter.name,
          adapter.folder,
          adapter.runId,
          adapter.origin,
          method,
          model,
          bytes,
          evalLoss,
          JSON.stringify(rest),
          JSON.stringify(hashes),
          Date.now(),
        );
      const link = this.library.prepare(
        'INSERT OR IGNORE INTO adapter_parents (adapter_id, parent_id, relation) VALUES (?, ?, ?)',
      );
      for (const parent of parents) link.run(adapter.id, parent.id, parent.relation);
    })();
    return this.row(adapter.id);
  }

  /** @throws UserError when there is no such adapter */
  row(id: string): AdapterRow {
    const row = this.library.prepare('SELECT * FROM adapters WHERE id = ?').get(id) as AdapterRow | undefined;
    if (!row) throw new UserError(`There is no adapter "${id}" in this library. Reload the list of adapters.`);
    return row;
  }

  ofRun(runId: string): AdapterRow | undefined {
    return this.library.prepare('SELECT * FROM adapters WHERE run_id = ?').get(runId) as AdapterRow | undefined;
  }

  rows(): AdapterRow[] {
    return this.library.prepare('SELECT * FROM adapters ORDER BY created_at DESC, id').all() as AdapterRow[];
  }

  change(id: string, change: AdapterChange): AdapterRow {
    const keys = Object.keys(change) as (keyof AdapterChange)[];
    if (keys.length === 0) return this.row(id);
    const assignments = keys.map((key) => `${key} = ?`).join(', ');
    this.library.prepare(`UPDATE adapters SET ${assignments} WHERE id = ?`).run(...keys.map((key) => change[key]), id);
    return this.row(id);
  }

  delete(id: string): void {
    this.library.prepare('DELETE FROM adapters WHERE id = ?').run(id);
  }

  /** Every link between a parent and its child. */
  links(): { adapter_id: string; parent_id: string; relation: string }[] {
    return this.library.prepare('SELECT * FROM adapter_parents').all() as ReturnType<AdapterStore['links']>;
  }

  entry(row: AdapterRow): AdapterEntry {
    const facts = JSON.parse(row.facts) as Omit<AdapterFacts, 'method' | 'model' | 'bytes' | 'evalLoss' | 'hashes'>;
    return {
      id: row.id,
      name: row.name,
      notes: row.notes,
      tags: JSON.parse(row.tags) as string[],
      origin: row.origin,
      method: row.method,
      rank: facts.rank,
      heads: facts.heads,
      droppedHeads: facts.droppedHeads,
      model: modelOf(row),
      modelReference: facts.modelReference,
      dataset: facts.dataset,
      bytes: row.bytes,
      evalLoss: row.eval_loss,
      runId: row.run_id,
      createdAt: row.created_at,
      archived: row.archived_at !== null,
      trashed: row.trashed_at !== null,
      folder: row.folder,
      missing: !existsSync(join(row.folder, 'adapter.safetensors')) || !existsSync(join(row.folder, 'adapter.json')),
    };
  }

  /** What a filter finds, newest first, and what the filters can be set to. */
  search(filter: AdapterFilter) {
    const rows = this.rows();
    const shown = rows.filter((row) => placeOf(row) === filter.show);
    const words = filter.text.toLocaleLowerCase().split(/\s+/).filter(Boolean);
    const found = shown.filter(
      (row) =>
        (!filter.method || row.method === filter.method) &&
        (!filter.model || modelOf(row) === filter.model) &&
        (!filter.tag || (JSON.parse(row.tags) as string[]).includes(filter.tag)) &&
        holdsAll(row, words),
    );
    const count = (place: AdapterFilter['show']) => rows.filter((row) => placeOf(row) === place).length;
    return {
      adapters: found.map((row) => this.entry(row)),
      methods: distinct(shown.map((row) => row.method)),
      models: distinct(shown.map(modelOf)),
      tags: distinct(shown.flatMap((row) => JSON.parse(row.tags) as string[])),
      counts: { active: count('active'), archived: count('archived'), trash: count('trash') },
    };
  }
}

/** The base model as it is called everywhere; as its file calls itself where it isn't known what opens it. */
function modelOf(row: AdapterRow): string {
  const { modelReference } = JSON.parse(row.facts) as Partial<AdapterFacts>;
  return modelReference ? nameOfModel(modelReference) : row.model;
}

function placeOf(row: AdapterRow): AdapterFilter['show'] {
  return row.trashed_at !== null ? 'trash' : row.archived_at !== null ? 'archived' : 'active';
}

function holdsAll(row: AdapterRow, words: string[]): boolean {
  if (words.length === 0) return true;
  const { dataset } = JSON.parse(row.facts) as { dataset: string };
  const text = [row.name, row.notes, row.tags, modelOf(row), row.method, dataset].join('\n').toLocaleLowerCase();
  return words.every((word) => text.includes(word));
}

const distinct = (values: string[]) => [...new Set(values)].sort((a, b) => a.localeCompare(b));
