import { createReadStream } from 'node:fs';
import type { ReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { ZipFile } from 'yazl';
import { exportDownload } from '../../src-preload/contract/export-name.ts';
import type { Job } from '../../src-preload/contract/index.ts';
import { UserError } from '../engine/types.ts';

export interface ExportFile {
  headers: Record<string, string>;
  body: Readable;
}

interface Sized {
  name: string;
  /** bytes */
  size: number;
}

/**
 * An export's file, or its folder as a zip, for a browser to keep; read as it is sent.
 * @throws UserError where the job left no export, or its files have gone
 */
export async function exportFile({ name: of, result }: Job): Promise<ExportFile> {
  const outcome = result?.outcome;
  if (!outcome) throw new UserError(`"${of}" left nothing to download. Export it again.`);
  const { folder } = outcome;
  const names = outcome.files.map(({ name }) => name);
  const files = await Promise.all(names.map((name) => sized(folder, name, of)));
  const { name, file } = exportDownload(folder, names);
  if (file === null) {
    const { body, size } = zipOf(folder, files, name.replace(/\.zip$/, ''));
    return { headers: headersOf(name, 'application/zip', size), body };
  }
  const { size } = files.find((one) => one.name === file)!;
  return { headers: headersOf(name, 'application/octet-stream', size), body: createReadStream(join(folder, file)) };
}

async function sized(folder: string, name: string, of: string): Promise<Sized> {
  const found = await stat(join(folder, name)).catch(() => undefined);
  if (!found) throw new UserError(`${name} of "${of}" isn't on the studio's machine any more. Export it again.`);
  return { name, size: found.size };
}

/** A name of any letters, and for old programs one of ASCII's; a size, by which a browser knows what broke off. */
function headersOf(name: string, type: string, size: number): Record<string, string> {
  const plain = name.replace(/[^\w.() -]/g, '_');
  const any = encodeURIComponent(name).replace(
    /['()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return {
    'content-type': type,
    'content-length': String(size),
    'content-disposition': `attachment; filename="${plain}"; filename*=UTF-8''${any}`,
    'cache-control': 'no-store',
  };
}

/** Stored, not deflated: weights don't compress, and its size is known before. Whoever leaves halfway leaves no file open. */
function zipOf(folder: string, files: Sized[], inside: string): { body: Readable; size: number } {
  const zip = new ZipFile();
  const body = zip.outputStream as Readable;
  let open: ReadStream | undefined;
  // A file that can't be read to its end, or is another by now, must not end as a whole zip.
  const fail = (error: Error) => void body.destroy(error);
  zip.once('error', fail);
  for (const { name, size } of files)
    zip.addReadStreamLazy(`${inside}/${name}`, { compress: false, size }, (take) => {
      open = createReadStream(join(folder, name));
      open.once('error', fail);
      take(null, open);
    });
  body.once('close', () => open?.destroy());
  let total = 0;
  // At once, as all sizes are given; its types leave the number out.
  zip.end(undefined, (...[bytes]: unknown[]) => (total = bytes as number));
  return { body, size: total };
}
