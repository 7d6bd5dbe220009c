import fs from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import type { AdapterDescription } from '../effilora/adapter-schema.ts';
import { readHeadName } from '../effilora/names.ts';
import type { HeadName } from '../effilora/types.ts';
import { readAdapter } from './adapter-folder.ts';

/** What is known of one head of a trained adapter. */
export interface HeadFacts {
  name: HeadName;
  layer: number;
  site: string;
  head: number;
  importance: number;
  /** the step after which it froze for good; null: active to the end */
  frozenSince: number | null;
  dropped: boolean;
  /** mean omega over the tokens of the last step written; null where no run's heads.jsonl lies beside the adapter */
  routerShare: number | null;
}

export interface AdapterFacts {
  description: AdapterDescription;
  heads: HeadFacts[];
}

const headsLine = z.looseObject({ routerShare: z.record(z.string(), z.number()) });
/** A line of heads.jsonl is longer than this only with over ten thousand heads, bytes. */
const TAIL_BYTES = 4 << 20;

/** What an adapter's files say of its heads, by layer, site and head. @throws UserError when it is none, or damaged */
export async function inspectAdapter(place: string): Promise<AdapterFacts> {
  const { description } = await readAdapter(place);
  const isFolder = (await fs.stat(place)).isDirectory();
  const shares = await lastShares(path.join(isFolder ? place : path.dirname(place), 'heads.jsonl'));
  const heads = Object.entries(description.heads).map(([name, { importance, frozenSince, dropped }]) => {
    const { block: layer, site, head } = readHeadName(name)!;
    const where = { name, layer, site, head };
    return { ...where, importance, frozenSince, dropped, routerShare: shares?.[name] ?? null };
  });
  return { description, heads };
}

/** The router's shares in the last whole line; undefined where there is none. */
async function lastShares(file: string): Promise<Record<HeadName, number> | undefined> {
  const handle = await fs.open(file).catch(() => undefined);
  if (!handle) return undefined;
  try {
    const { size } = await handle.stat();
    const tail = Buffer.alloc(Math.min(TAIL_BYTES, size));
    await handle.read(tail, 0, tail.length, size - tail.length);
    const lines = tail.toString('utf8').split('\n');
    // Behind the last newline there is nothing, or a line that a kill tore.
    const parsed = headsLine.safeParse(JSON.parse(lines.at(-2) ?? 'null'));
    return parsed.success ? parsed.data.routerShare : undefined;
  } catch {
    return undefined;
  } finally {
    await handle.close();
  }
}
