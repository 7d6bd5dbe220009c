import { createHash } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MOST_PICTURE_BYTES } from '../../../src-preload/contract/index.ts';
import type { ChatPicture } from '../../../src-preload/contract/index.ts';
import { UserError } from '../../engine/types.ts';
import type { Library } from '../database/open.ts';
import type { Worker } from '../work/worker.ts';

/** A picture that no conversation has may be beside a prompt that is still being written, milliseconds. */
const YOUNG_MS = 24 * 3_600_000;

/** The pictures of the playground's conversations, in files by what they hold. */
export class ChatPictures {
  constructor(
    private readonly library: Library,
    private readonly worker: Worker,
    private readonly folder: string,
  ) {}

  /** Keeps a picture. @param data in base64 @throws UserError for what is none, or none that models take */
  async add(name: string, data: string): Promise<ChatPicture> {
    const bytes = Buffer.from(data, 'base64');
    if (bytes.length > MOST_PICTURE_BYTES)
      throw new UserError(`${name} has ${bytes.length} bytes; up to ${MOST_PICTURE_BYTES} are taken, make it smaller`);
    const seen = await this.worker.call('thumbnail', { name, bytes });
    const id = createHash('sha256').update(bytes).digest('hex');
    await mkdir(this.folder, { recursive: true });
    const aside = `${this.pathOf(id)}.${Date.now()}.partial`;
    await writeFile(aside, bytes);
    await rename(aside, this.pathOf(id));
    return { id, name, ...seen };
  }

  /** Where a picture's bytes lie, if they still do. */
  pathOf(id: string): string {
    return join(this.folder, id);
  }

  /** Removes what no conversation has, and nobody is about to ask about. */
  async sweep(): Promise<void> {
    const named = this.library.prepare('SELECT 1 FROM chats WHERE instr(messages, ?) > 0');
    for (const name of await readdir(this.folder).catch(() => [])) {
      const path = join(this.folder, name);
      const found = await stat(path).catch(() => undefined);
      if (!found || Date.now() - found.mtimeMs < YOUNG_MS || named.get(name.slice(0, 64)) !== undefined) continue;
      await rm(path, { force: true });
    }
  }
}
