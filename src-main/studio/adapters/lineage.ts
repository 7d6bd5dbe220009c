import type { Lineage } from '../../../src-preload/contract/index.ts';
import type { Library } from '../database/open.ts';
import type { RunStore } from '../runs/store.ts';
import type { AdapterStore } from './store.ts';

interface ExportRow {
  id: string;
  adapter_id: string;
  target: string;
  path: string;
}

/** An adapter's family: everything reached from it along parents and children, the runs they came of and their exports. */
export function lineageOf(id: string, store: AdapterStore, runs: RunStore, library: Library): Lineage {
  const rows = new Map(store.rows().map((row) => [row.id, row]));
  const links = store.links();
  const family = connected(id, links);
  const nodes: Lineage['nodes'] = [];
  const edges: Lineage['edges'] = links
    .filter(({ adapter_id: child }) => family.has(child))
    .map(({ adapter_id: to, parent_id: from, relation }) => ({ from, to, relation }));
  for (const member of family) {
    const row = rows.get(member)!;
    nodes.push({
      ...{ id: member, of: member },
      kind: 'adapter',
      label: row.name,
      note: row.trashed_at === null ? row.method : 'in the trash',
    });
    if (row.run_id === null) continue;
    // A run and its adapter have one id.
    const node = `run:${row.run_id}`;
    nodes.push({ id: node, of: row.run_id, kind: 'run', label: runs.row(row.run_id).name, note: 'run' });
    edges.push({ from: node, to: member, relation: 'trained by' });
  }
  const exports = library.prepare('SELECT id, adapter_id, target, path FROM adapter_exports').all() as ExportRow[];
  for (const made of exports.filter(({ adapter_id: owner }) => family.has(owner))) {
    nodes.push({ id: made.id, of: made.id, kind: 'export', label: made.target, note: made.path });
    const merged = made.target.startsWith('merged');
    edges.push({ from: made.adapter_id, to: made.id, relation: merged ? 'merged from' : 'exported from' });
  }
  return { nodes, edges };
}

function connected(id: string, links: { adapter_id: string; parent_id: string }[]): Set<string> {
  const family = new Set([id]);
  for (let grew = true; grew;) {
    grew = false;
    for (const { adapter_id: child, parent_id: parent } of links) {
      if (family.has(child) === family.has(parent)) continue;
      family.add(child).add(parent);
      grew = true;
    }
  }
  return family;
}
