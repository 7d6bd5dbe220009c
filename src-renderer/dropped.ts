import { FOLDER_KINDS, kindOf, MOST_FOLDER_FILES } from '../src-preload/contract/uploads.ts';

export const holdsFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') ?? false;

/**
 * The path, on the studio's machine, of the file or folder that was dropped; in a browser that of a copy which is sent
 * there. To be called in the event itself: afterwards it holds nothing any more.
 * @param folders whether a folder can be taken in here
 * @param progress is told the share sent, 0 to 1
 */
export async function pathOfDrop(
  { dataTransfer }: DragEvent,
  folders: boolean,
  progress: (share: number) => void,
): Promise<string | undefined> {
  const [file, ...more] = dataTransfer?.files ?? [];
  if (!file) return undefined;
  if (more.length > 0) throw new Error(`These are ${more.length + 1} files. Drop one file or one folder at a time.`);
  if (window.effilora) return window.effilora.pathOf(file);
  const entry = dataTransfer!.items[0]?.webkitGetAsEntry();
  if (!entry?.isDirectory) return pathOfFile(file, progress);
  if (!folders)
    throw new Error(
      `${entry.name} is a folder, which can’t be dropped here in a browser. Choose it with Browse… where it lies on the studio’s machine.`,
    );
  const files = await filesIn(entry as FileSystemDirectoryEntry);
  const described = JSON.stringify(files.map(({ name, size: bytes }) => ({ name, bytes })));
  const query = new URLSearchParams({ name: entry.name, files: described });
  return send(`upload-folder?${query.toString()}`, entry.name, new Blob(files), progress);
}

/** The path, on the studio's machine, of a file of this one, which in a browser is sent there. */
export async function pathOfFile(file: File, progress: (share: number) => void): Promise<string> {
  if (window.effilora) return window.effilora.pathOf(file);
  return send(`upload?name=${encodeURIComponent(file.name)}`, file.name, file, progress);
}

/** One of these a folder of a model or an adapter has; of another's the rows would stay behind. */
const NEEDED = /\.safetensors$|^(config|adapter|adapter_config)\.json$/;

/** What the studio reads of a folder: its own files of certain kinds, nothing of the folders in it. */
async function filesIn(folder: FileSystemDirectoryEntry): Promise<File[]> {
  const reader = folder.createReader();
  const files: File[] = [];
  for (;;) {
    // A reader gives its entries piece by piece, the last piece empty.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) break;
    for (const entry of entries)
      if (entry.isFile && FOLDER_KINDS.includes(kindOf(entry.name)))
        files.push(await new Promise((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)));
  }
  if (!files.some(({ name }) => NEEDED.test(name)))
    throw new Error(
      `${folder.name} holds no files of a model or an adapter. A folder of rows is added with Browse… (Datasets), where it lies on the studio’s machine.`,
    );
  if (files.length > MOST_FOLDER_FILES)
    throw new Error(`${folder.name} holds ${files.length} files; the studio takes ${MOST_FOLDER_FILES} at most.`);
  return files;
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
