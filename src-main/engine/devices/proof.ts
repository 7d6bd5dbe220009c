import crypto from 'node:crypto';
import { z } from 'zod';
import { KeptFiles, keptFolder } from '../kept-files.ts';
import type { Proven } from '../types.ts';

/** What a try of an engine on a device came to. */
export interface Proof {
  passed: boolean;
  /** a sentence */
  reason: string;
  seconds: number;
}

const proofSchema = z.strictObject({ passed: z.boolean(), reason: z.string().max(4000), seconds: z.number() });

const files = () => new KeptFiles(keptFolder('probes'), '.json');
const nameOf = ({ engine, device, driver, version }: Proven) =>
  crypto
    .createHash('sha256')
    .update(JSON.stringify([engine, device, driver, version]))
    .digest('hex');

/** The last try of just this; undefined: there was none. */
export async function keptProof(of: Proven): Promise<Proof | undefined> {
  const bytes = await files().read(nameOf(of));
  return bytes && proofSchema.parse(JSON.parse(Buffer.from(bytes).toString()));
}

export const keepProof = (of: Proven, proof: Proof): Promise<void> =>
  files().write(nameOf(of), Buffer.from(JSON.stringify(proof)));
