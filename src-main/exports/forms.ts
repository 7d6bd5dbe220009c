import { setImmediate } from 'node:timers/promises';
import * as tf from '@tensorflow/tfjs-core';
import type { Adapter } from '../effilora/adapter.ts';
import { Calibration, type Matrix } from '../effilora/exports/moments.ts';
import { averaged, gramOf, inner, regressed, relativeError } from '../effilora/exports/narrow.ts';
import { keptHeads, siteTrainable, type SiteForm } from '../effilora/exports/plain-lora.ts';
import { regressedOnInput, relativeErrorOnInput } from '../effilora/exports/wide.ts';
import { siteName } from '../effilora/names.ts';
import type { SiteShape } from '../effilora/types.ts';
import { eachLayerGroup, observe, type Fitting } from './calibrate.ts';

/** One site's form and how far off it is. */
export interface FittedSite {
  site: string;
  form: SiteForm;
  /** relative output errors */
  exported: number;
  averaged: number;
  /** E|B z|^2, the weight of the site in the whole error */
  energy: number;
}

/** B B^T [N * r, N * r] of a site. */
async function headGram(adapter: Adapter, site: SiteShape): Promise<Matrix> {
  const { variable } = siteTrainable(adapter, site, 'B');
  return gramOf((await variable.data()) as Float32Array, variable.shape[0]);
}

/** Without a router nothing is approximated: z = h. Dropped heads are zero. */
export function exactForms(adapter: Adapter): FittedSite[] {
  const rank = adapter.options.rank;
  const dropped = adapter.dropped.heads;
  return adapter.sites.map((site) => {
    const kept = keptHeads(adapter, site, dropped).length > 0;
    const data = Float64Array.from({ length: rank * rank }, (_, i) => (kept && i % (rank + 1) === 0 ? 1 : 0));
    const form: SiteForm = { kind: 'rank-r', p: { rows: rank, columns: rank, data } };
    return { site: siteName(site), form, exported: 0, averaged: 0, energy: 0 };
  });
}

/** The least-squares plain LoRA of rank r, and how many tokens it rests on. */
export async function narrowForms(fitting: Fitting): Promise<{ sites: FittedSite[]; tokens: number }> {
  const { adapter, batches, progress } = fitting;
  const calibration = new Calibration(adapter);
  let done = 0;
  progress.at('calibrating', 0, batches.length);
  try {
    await observe(fitting, calibration, () => progress.at('calibrating', ++done, batches.length));
    const sites: FittedSite[] = [];
    for (const site of adapter.sites) {
      const moments = calibration.moments(site);
      const bb = await headGram(adapter, site);
      const p = regressed(moments);
      sites.push({
        site: siteName(site),
        form: { kind: 'rank-r', p },
        exported: relativeError(p, moments, bb),
        averaged: relativeError(averaged(moments), moments, bb),
        energy: inner(bb, moments.zz),
      });
    }
    return { sites, tokens: calibration.tokens };
  } finally {
    calibration.dispose();
  }
}

/** The plain LoRA of rank N * r by regression on the whole input. */
export async function wideForms(fitting: Fitting): Promise<{ sites: FittedSite[]; tokens: number }> {
  const { progress } = fitting;
  const found: FittedSite[] = [];
  let tokens = 0;
  await eachLayerGroup(fitting, async (calibration, sites) => {
    tokens = calibration.tokens;
    for (const together of calibration.byInput(sites)) {
      found.push(...(await wideSites(fitting, calibration, together)));
      await setImmediate();
      progress.check();
    }
  });
  return { sites: found, tokens };
}

/** Sites that read the same input: their rows are solved for together, as a step costs hardly more for more rows. */
async function wideSites({ adapter }: Fitting, calibration: Calibration, sites: SiteShape[]): Promise<FittedSite[]> {
  const moments = sites.map((site) => calibration.moments(site));
  const forms = moments.map(regressed);
  const inputs = calibration.inputMoments(...sites);
  const start = tf.tidy(() =>
    tf.concat(
      forms.map(({ rows, columns, data }, i) => {
        const narrow = tf.tensor2d(Float32Array.from(data), [rows, columns]);
        return tf.matMul<tf.Tensor2D>(narrow, siteTrainable(adapter, sites[i]!, 'A').variable);
      }),
    ),
  );
  const solved = await regressedOnInput(inputs, start);
  const counts = forms.map(({ rows }) => rows);
  const [l, zx] = [tf.split<tf.Tensor2D>(solved, counts), tf.split<tf.Tensor2D>(inputs.zx, counts)];
  const fitted: FittedSite[] = [];
  for (const [i, site] of sites.entries()) {
    const bb = await headGram(adapter, site);
    const { zz } = moments[i]!;
    fitted.push({
      site: siteName(site),
      form: {
        kind: 'rank-nr',
        l: Float32Array.from(await l[i]!.data()),
        heads: keptHeads(adapter, site, adapter.dropped.heads),
      },
      exported: await relativeErrorOnInput(l[i]!, { zx: zx[i]!, xx: inputs.xx }, zz, bb),
      averaged: relativeError(averaged(moments[i]!), moments[i]!, bb),
      energy: inner(bb, zz),
    });
  }
  tf.dispose([start, solved, inputs.zx, inputs.xx, ...l, ...zx]);
  return fitted;
}

/** Relative error over all sites' outputs. */
export function wholeError(sites: FittedSite[], kind: 'exported' | 'averaged'): number {
  const whole = sites.reduce((sum, { energy }) => sum + energy, 0);
  const error = sites.reduce((sum, site) => sum + site.energy * site[kind] ** 2, 0);
  return whole > 0 ? Math.sqrt(error / whole) : 0;
}
