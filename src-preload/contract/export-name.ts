import { lastPart } from '../last-part.ts';

/** Kinds of an export that are one file; the card and the report beside it are for whoever has the folder. */
const ONE_FILE = ['gguf', 'effilora'];
/** What a folder of the studio's has behind its name, so that no two have the same. */
const OWN_END = / [0-9a-f]{6}$/;

/** Weights are one file where nothing says how they are to be read, as a folder's configurations do. */
const WEIGHTS = 'safetensors';
const REPORT = 'fidelity.json';

const kindOf = (name: string) => name.slice(name.lastIndexOf('.') + 1);

/**
 * What is handed to a browser of an export, and under which name: the one file that matters, or the folder as a zip.
 * @param folder the export's, by its path
 */
export function exportDownload(folder: string, files: string[]): { name: string; file: string | null } {
  const name = lastPart(folder).replace(OWN_END, '').trim().replace(/\s+/g, '-');
  const isFolder = files.some((one) => kindOf(one) === 'json' && one !== REPORT);
  const weights = files.filter((one) => kindOf(one) === WEIGHTS);
  const file = files.find((one) => ONE_FILE.includes(kindOf(one))) ?? (weights.length === 1 && !isFolder && weights[0]);
  return { name: `${name}.${file ? kindOf(file) : 'zip'}`, file: file || null };
}
