import path from 'node:path';
import { makeRoom } from '../../engine/cache-room.ts';
import { cacheFolder } from '../../engine/folders.ts';

/** All prepared datasets together; the least recently used go first. */
const MOST_BYTES = 20 * 2 ** 30;

export const preparedFolder = () => path.join(cacheFolder(), 'prepared');

/** Removes prepared datasets where there are too many of them; `kept` stays. */
export const makeRoomBeside = (kept: string): Promise<void> => makeRoom(preparedFolder(), kept, MOST_BYTES, '.records');
