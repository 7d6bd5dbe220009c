import { createReadStream, existsSync } from 'node:fs';
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

/**
 * An export's file, or its folder as a zip, for a browser to keep; read as it is sent.
 * @throws UserError where the job left no export, or its files have gone
 */
export async function exportFile({ name: of, result }: Job): Promise<ExportFile> {
  const outcome = result?.outcome;
  if (!outcome) throw new UserError(`"${of}" left nothing to download. Export it again.`);
  const names = outcome.files.map(({ name }) => name);
  const missing = names.find((name) => !existsSync(join(outcome.folder, name)));
  if (missing !== undefined)
    throw new UserError(`${missing} of "${of}" isn't on the studio's machine any more. Export it again.`);
  const { name, file } = exportDownload(outcome.folder, names);
  if (file === null) return { headers: headersOf(name, 'application/zip'), body: zipOf(outcome.folder, names, name) };
  const path = join(outcome.folder, file);
  const { size } = await stat(path);
  const headers = { ...headersOf(name, 'application/octet-stream'), 'content-length': String(size) };
  return { headers, body: createReadStream(path) };
}

/** A name of any letters, and for old programs one of ASCII's. */
function headersOf(name: string, type: string): Record<string, string> {
  const plain = name.replace(/[^\w.() -]/g, '_');
  const any = encodeURIComponent(name).replace(
    /['()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return {
    'content-type': type,
    'content-disposition': `attachment; filename="${plain}"; filename*=UTF-8''${any}`,
    'cache-control': 'no-store',
  };
}

/** Stored, not deflated: weights don't compress. Whoever leaves halfway leaves no file open. */
function zipOf(folder: string, names: string[], zipName: string): Readable {
  const zip = new ZipFile();
  let open: ReadStream | undefined;
  const inside = zipName.replace(/\.zip$/, '');
  for (const name of names)
    zip.addReadStreamLazy(`${inside}/${name}`, { compress: false }, (take) => {
      open = createReadStream(join(folder, name));
      // A file that can't be read to its end must not end as a whole zip.
      open.once('error', (error) => body.destroy(error));
      take(null, open);
    });
  const body = zip.outputStream as Readable;
  body.once('close', () => open?.destroy());
  zip.end();
  return body;
}
