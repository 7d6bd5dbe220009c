import fsp from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import zlib from 'node:zlib';

// Found from here both in a checkout and in a package, where all of this room is one file.
const FILE = fileURLToPath(new URL('../../resources/clip/merges.txt.gz', import.meta.url));

/** The text of CLIP's own merges.txt. */
export const clipMerges = async (): Promise<string> => zlib.gunzipSync(await fsp.readFile(FILE)).toString('utf8');
