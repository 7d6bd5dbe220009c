import { Adapter } from '../effilora/adapter.ts';
import { plainLora, type PlainLora } from '../effilora/exports/plain-lora.ts';
import { isRouted } from '../effilora/methods/registry.ts';
import type { Adaptation } from '../models/types.ts';
import { taskOf } from '../tasks/registry.ts';
import type { Fitting } from './calibrate.ts';
import { exactForms, narrowForms, wholeError, wideForms, type FittedSite } from './forms.ts';
import type { ExportForm, FidelityReport } from './request.ts';

/** A form that keeps less of the adapter's gain than this has the other one measured beside it. */
export const GAIN_TO_KEEP = 0.9;
const EXACT = 'What this adapter adds is a plain LoRA’s: nothing is approximated.';

/** Examples that the loss is measured on, and their dataset's name. */
export interface MeasuredOn {
  name: string;
  heldOut: unknown[];
}

/** The plain LoRA that goes into files, and how close it comes. */
export interface Fitted {
  plain: PlainLora;
  report: FidelityReport;
}

/**
 * Turns an adapter into a plain LoRA and measures it: output errors on the calibration data, losses on the held-out part.
 * Where the rank r form keeps too little of the gain, the rank N * r form is measured as well.
 */
export async function fit(fitting: Fitting, data: MeasuredOn | undefined, form: ExportForm): Promise<Fitted> {
  const { adapter } = fitting;
  if (!isRouted(adapter.options)) return fitExact(fitting, data);
  const { sites, tokens } = await fittedSites(fitting, form);
  const plain = await plainOf(fitting, sites);
  const losses = await heldOutLosses(fitting, data, plain);
  const gainKept = gainOf(losses);
  const alternative =
    form === 'rank-r' && gainKept !== null && gainKept < GAIN_TO_KEEP
      ? await wideAlternative(fitting, data!, losses!)
      : null;
  const report: FidelityReport = {
    form,
    rank: plain.options.rank,
    calibration: { dataset: data!.name, tokens },
    sites: sites.map(({ site, exported, averaged }) => ({ site, exported, averaged })),
    error: { exported: wholeError(sites, 'exported'), averaged: wholeError(sites, 'averaged') },
    heldOut: losses,
    gainKept,
    alternative,
    summary: '',
  };
  return { plain, report: { ...report, summary: summaryOf(report) } };
}

/** The plain LoRA that `fit` writes, without a word on how close it comes. */
export async function plainForm(fitting: Fitting, form: ExportForm): Promise<PlainLora> {
  const isPlain = !isRouted(fitting.adapter.options);
  return plainOf(fitting, isPlain ? exactForms(fitting.adapter) : (await fittedSites(fitting, form)).sites);
}

async function fitExact(fitting: Fitting, data: MeasuredOn | undefined): Promise<Fitted> {
  const plain = await plainOf(fitting, exactForms(fitting.adapter));
  const losses = await heldOutLosses(fitting, data, plain);
  const report: FidelityReport = {
    form: 'exact',
    rank: plain.options.rank,
    calibration: null,
    sites: [],
    error: { exported: 0, averaged: 0 },
    heldOut: losses,
    gainKept: gainOf(losses),
    alternative: null,
    summary: EXACT,
  };
  return { plain, report };
}

function fittedSites(fitting: Fitting, form: ExportForm) {
  return form === 'rank-r' ? narrowForms(fitting) : wideForms(fitting);
}

function plainOf({ adapter, model }: Fitting, sites: FittedSite[]): Promise<PlainLora> {
  return plainLora(adapter, new Map(sites.map(({ site, form }) => [site, form])), (site) => model.siteWeight(site));
}

/** Mean loss on the held-out examples of base, adapter and plain LoRA; null without examples. */
async function heldOutLosses(
  fitting: Fitting,
  data: MeasuredOn | undefined,
  plain: PlainLora,
): Promise<FidelityReport['heldOut']> {
  if (!data || data.heldOut.length === 0) return null;
  const { file, model, adapter, progress } = fitting;
  const losses: number[] = [];
  const measure = async (adaptation?: Adaptation) => {
    progress.at('measuring', losses.length, 3);
    losses.push((await taskOf(file).evaluate(model, data.heldOut, adaptation)).loss);
  };
  await measure();
  await measure(adapter);
  await withPlain(fitting, plain, measure);
  progress.at('measuring', 3, 3);
  const [base, exact, exported] = losses as [number, number, number];
  return { dataset: data.name, examples: data.heldOut.length, base, exact, exported };
}

async function withPlain<T>({ model }: Fitting, plain: PlainLora, use: (adapter: Adapter) => Promise<T>): Promise<T> {
  const adapter = new Adapter(model.sites(), plain.options, 0);
  try {
    adapter.import(plain.tensors);
    return await use(adapter);
  } finally {
    adapter.dispose();
  }
}

async function wideAlternative(
  fitting: Fitting,
  data: MeasuredOn,
  losses: NonNullable<FidelityReport['heldOut']>,
): Promise<FidelityReport['alternative']> {
  const { sites } = await wideForms(fitting);
  const plain = await plainOf(fitting, sites);
  const { file, model } = fitting;
  const { loss } = await withPlain(fitting, plain, (adapter) => taskOf(file).evaluate(model, data.heldOut, adapter));
  return {
    form: 'rank-nr',
    rank: plain.options.rank,
    error: wholeError(sites, 'exported'),
    loss,
    gainKept: gainOf({ ...losses, exported: loss })!,
  };
}

/** Share of the adapter's gain in held-out loss that an export keeps; null where there is none to keep. */
export function gainOf(losses: FidelityReport['heldOut']): number | null {
  if (!losses || losses.exact >= losses.base) return null;
  return (losses.base - losses.exported) / (losses.base - losses.exact);
}

/** The report with other losses, e.g. those of the files as they were written. */
export function withLosses(report: FidelityReport, heldOut: FidelityReport['heldOut']): FidelityReport {
  const changed = { ...report, heldOut, gainKept: gainOf(heldOut) };
  return { ...changed, summary: summaryOf(changed) };
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

/** What a report means, in a sentence or two. */
function summaryOf({ form, rank, gainKept, error, alternative }: FidelityReport): string {
  if (form === 'exact') return EXACT;
  const kept =
    gainKept === null
      ? `The export's outputs are ${percent(error.exported)} off the adapter's (${percent(error.averaged)} with the router averaged).`
      : `As a plain LoRA of rank ${rank} the export keeps ${percent(gainKept)} of the adapter's gain in held-out loss.`;
  if (form === 'rank-nr' || !alternative) return kept;
  return alternative.gainKept > gainKept!
    ? `${kept} The form of rank ${alternative.rank} keeps ${percent(alternative.gainKept)}: choose rank-nr for it.`
    : `${kept} The form of rank ${alternative.rank} keeps no more (${percent(alternative.gainKept)}).`;
}
