import { randomUUID } from 'node:crypto';
import { conversation } from '../../../src-preload/contract/index.ts';
import type { ChatEntry, Conversation } from '../../../src-preload/contract/index.ts';
import { UserError } from '../../engine/types.ts';
import type { Library } from '../database/open.ts';

interface ChatRow {
  id: string;
  title: string;
  messages: string;
  updated_at: number;
}

/** The playground's conversations. */
export class ChatStore {
  constructor(private readonly library: Library) {}

  /** Newest first. */
  list(): ChatEntry[] {
    const rows = this.library.prepare('SELECT id, title, updated_at FROM chats ORDER BY updated_at DESC').all();
    return (rows as ChatRow[]).map(entryOf);
  }

  /** @throws UserError when it isn't there, or was kept by a newer studio in a form this one can't read */
  get(id: string): { id: string; title: string; conversation: Conversation } {
    const row = this.library.prepare('SELECT * FROM chats WHERE id = ?').get(id) as ChatRow | undefined;
    if (!row) throw new UserError('This conversation was deleted. Start a new one.');
    const kept = conversation.safeParse(JSON.parse(row.messages));
    if (!kept.success)
      throw new UserError(`"${row.title}" was kept by another version of the studio. Update the studio.`);
    return { id, title: row.title, conversation: kept.data };
  }

  /** Keeps a new conversation, or the newer state of one. */
  keep({ id, title, conversation: kept }: { id?: string; title: string; conversation: Conversation }): ChatEntry {
    const adapter = kept.columns.find((column) => column.adapter !== null)?.adapter ?? null;
    const known = adapter !== null && this.library.prepare('SELECT id FROM adapters WHERE id = ?').get(adapter) !== undefined; // prettier-ignore
    const key = id ?? randomUUID();
    const now = Date.now();
    this.library
      .prepare(
        `INSERT INTO chats (id, title, adapter_id, messages, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET title = excluded.title, messages = excluded.messages, updated_at = excluded.updated_at`,
      )
      .run(key, title, known ? adapter : null, JSON.stringify(kept), now, now);
    return { id: key, title, updatedAt: now };
  }

  remove(id: string): void {
    this.library.prepare('DELETE FROM chats WHERE id = ?').run(id);
  }
}

const entryOf = (row: ChatRow): ChatEntry => ({ id: row.id, title: row.title, updatedAt: row.updated_at });
