import crypto from 'node:crypto';
import { fileSha256 } from '../../models/identity.ts';

/** SHA-256 of a dataset's files: of one its own, of several over their hashes in order. */
export async function contentSha256(files: string[]): Promise<string> {
  const hashes: string[] = [];
  for (const file of files) hashes.push(await fileSha256(file));
  if (hashes.length === 1) return hashes[0]!;
  return crypto.createHash('sha256').update(hashes.join('\n')).digest('hex');
}
