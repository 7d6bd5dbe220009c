import { filesOfFolder, holdsRows } from './folder-files.ts';

export const holdsFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') ?? false;

/** What a place takes of folders; undefined: all of it. */
type Wanted = 'models' | 'datasets' | 'adapters' | undefined;

/**
 * The path, on the studio's machine, of the file or folder that was dropped; in a browser that of a copy which is sent
 * there. To be called in the event itself: afterwards it holds nothing any more.
 * @param wanted what a folder may be here
 * @param progress is told the share sent, 0 to 1
 */
export async function pathOfDrop(
  { dataTransfer }: DragEvent,
  wanted: Wanted,
  progress: (share: number) => void,
): Promise<string | undefined> {
  const [file, ...more] = dataTransfer?.files ?? [];
  if (!file) return undefined;
  if (more.length > 0) throw new Error(`These are ${more.length + 1} files. Drop one file or one folder at a time.`);
  if (window.effilora) return window.effilora.pathOf(file);
  const entry = dataTransfer!.items[0]?.webkitGetAsEntry();
  if (!entry?.isDirectory) return pathOfFile(file, progress);
  return sendFolder(entry as FileSystemDirectoryEntry, wanted, progress);
}

async function sendFolder(folder: FileSystemDirectoryEntry, wanted: Wanted, progress: (share: number) => void) {
  const { name } = folder;
  const files = await filesOfFolder(folder);
  const describe = files.map(({ name: own, file }) => ({ name: own, bytes: file.size }));
  const blobs = files.map(({ file }) => file);
  if (!holdsRows(files)) {
    if (wanted === 'datasets')
      throw new Error(
        `${name} is a model or an adapter, no rows. Drop it on the page of base models, or on the library.`,
      );
    const query = new URLSearchParams({ name, files: JSON.stringify(describe) });
    return send(`upload-folder?${query.toString()}`, name, new Blob(blobs), progress);
  }
  if (wanted === 'models' || wanted === 'adapters')
    throw new Error(`${name} holds rows, and no files of a model or an adapter. Drop it on the page of datasets.`);
  const head = new TextEncoder().encode(JSON.stringify(describe));
  const query = new URLSearchParams({ name, described: String(head.length) });
  return send(`upload-dataset?${query.toString()}`, name, new Blob([head, ...blobs]), progress);
}

/** The path, on the studio's machine, of a file of this one, which in a browser is sent there. */
export async function pathOfFile(file: File, progress: (share: number) => void): Promise<string> {
  if (window.effilora) return window.effilora.pathOf(file);
  return send(`upload?name=${encodeURIComponent(file.name)}`, file.name, file, progress);
}

function send(address: string, name: string, body: Blob, progress: (share: number) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', address);
    request.setRequestHeader('content-type', 'application/octet-stream');
    request.upload.onprogress = ({ loaded, total }) => progress(loaded / total);
    request.onload = () =>
      request.status === 200
        ? resolve((JSON.parse(request.responseText) as { path: string }).path)
        : reject(new Error(request.responseText));
    request.onerror = () =>
      reject(new Error(`${name} could not be sent to the studio. Check the connection and drop it again.`));
    request.send(body);
  });
}
