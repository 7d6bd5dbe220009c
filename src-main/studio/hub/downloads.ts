import { EventEmitter, once } from 'node:events';
import { randomUUID } from 'node:crypto';
import { mkdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Download } from '../../../src-preload/contract/index.ts';
import { UserError } from '../../engine/types.ts';
import { filesOf, WHOLE_MODEL } from './choices.ts';
import type { HubClient, HubFile, HubKind } from './client.ts';
import { fetchFile } from './fetch-file.ts';

/** Left free on the disk, bytes. */
const SPARE_BYTES = 1 << 30;
const PACE_MS = 500;

interface Wanted {
  kind: HubKind;
  repository: string;
  choice: string;
}

/** Downloads from a hub into `<folder>/<owner>--<name>/`. Emits `change`. */
export class Downloads extends EventEmitter<{ change: [] }> {
  private readonly all = new Map<string, { shown: Download; stop: AbortController }>();

  private changes = 0;

  constructor(
    private readonly client: HubClient,
    private readonly folderOf: (kind: HubKind) => string,
    /** what becomes of a finished one: it joins the library */
    private readonly arrived: (kind: HubKind, path: string) => Promise<void>,
  ) {
    super();
    this.setMaxListeners(0);
  }

  list(): Download[] {
    return [...this.all.values()].map(({ shown }) => shown);
  }

  /** Starts, or goes on; the same one twice is one. @throws UserError when the hub has no such thing or the disk is full */
  async start(wanted: Wanted): Promise<Download> {
    const same = this.list().find(
      (one) => one.state === 'running' && one.repository === wanted.repository && one.choice === wanted.choice,
    );
    if (same) return same;
    const files = filesOf(wanted.kind, await this.client.files(wanted.kind, wanted.repository), wanted.choice);
    if (files.length === 0) throw new UserError(`${wanted.repository} has no "${wanted.choice}" any more. Look again.`);
    const folder = join(this.folderOf(wanted.kind), wanted.repository.replace('/', '--'));
    const ofBytes = files.reduce((sum, { bytes }) => sum + bytes, 0);
    await checkRoom(folder, ofBytes);
    const id = randomUUID();
    const shown: Download = { id, ...wanted, state: 'running', bytes: 0, ofBytes, message: null, path: null };
    const stop = new AbortController();
    this.all.set(id, { shown, stop });
    this.changes += 1;
    this.emit('change');
    void this.bring(id, files, folder, stop.signal);
    return shown;
  }

  cancel(id: string): void {
    this.all.get(id)?.stop.abort();
  }

  /** Stops all; what has come stays. */
  close(): void {
    for (const { stop } of this.all.values()) stop.abort();
  }

  /** The list, again whenever it has changed. */
  async *watch(signal: AbortSignal | undefined): AsyncGenerator<Download[]> {
    while (!signal?.aborted) {
      const seen = this.changes;
      yield this.list();
      if (this.changes === seen) await once(this, 'change', { signal }).catch(() => undefined);
      await wait(PACE_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  private async bring(id: string, files: HubFile[], folder: string, signal: AbortSignal): Promise<void> {
    const { shown } = this.all.get(id)!;
    const { kind, repository, choice } = shown;
    let done = 0;
    try {
      for (const file of files) {
        const onBytes = (bytes: number) => this.show(id, { bytes: done + bytes });
        const target = join(folder, ...file.path.split('/'));
        await fetchFile({ client: this.client, kind, repository, file, target, signal, onBytes });
        done += file.bytes;
      }
      const path = choice === WHOLE_MODEL ? folder : join(folder, ...choice.split('/'));
      await this.arrived(kind, path);
      this.show(id, { state: 'done', bytes: done, path });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.show(id, signal.aborted ? { state: 'cancelled' } : { state: 'failed', message });
    }
  }

  private show(id: string, change: Partial<Download>): void {
    const entry = this.all.get(id)!;
    entry.shown = { ...entry.shown, ...change };
    this.changes += 1;
    this.emit('change');
  }
}

async function checkRoom(folder: string, bytes: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  const disk = await statfs(folder);
  if (bytes + SPARE_BYTES > disk.bavail * disk.bsize)
    throw new UserError(`${(bytes / 1e9).toFixed(1)} GB don't fit on the disk of ${folder}. Free some space first.`);
}
