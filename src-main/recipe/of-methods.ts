import { z } from 'zod';
import { D_INITIAL } from '../effilora/methods/vera.ts';
import type { RankOptions } from '../effilora/rank-schedule.ts';
import type { MethodName } from '../effilora/types.ts';
import { UserError } from '../engine/types.ts';

const smoothing = z.number().gt(0).lt(1).default(0.85);

/** Of vera: what each number of d begins with. */
export const veraSchema = z.strictObject({ dInitial: z.number().positive().max(100).default(D_INITIAL) });

/** Of adalora: how ranks are chosen (effilora/rank-schedule.ts). */
export const adaloraSchema = z.strictObject({
  /** default: two thirds of the rank */
  targetRank: z.number().int().positive().max(1023).optional(),
  /** default: a tenth of the steps */
  tInit: z.number().int().nonnegative().optional(),
  /** default: three tenths of the steps */
  tFinal: z.number().int().nonnegative().optional(),
  deltaT: z.number().int().positive().default(10),
  beta1: smoothing,
  beta2: smoothing,
  orthogonality: z.number().nonnegative().max(1000).default(0.5),
});

/** What of a recipe's method depends on which it is. */
interface Method {
  name: MethodName;
  rank: number;
  dora: boolean;
  reducer: { ratio: number };
  vera?: z.output<typeof veraSchema>;
  adalora?: z.output<typeof adaloraSchema>;
  vision?: { tower: string; connector: string };
}

const targetOf = ({ rank, adalora }: Pick<Method, 'rank' | 'adalora'>): number =>
  adalora?.targetRank ?? Math.max(1, Math.round((2 * rank) / 3));

/** Options of one method alone; those of its own have their defaults. */
export function ownOptions({ name, vera, adalora }: Pick<Method, 'name' | 'vera' | 'adalora'>) {
  const own = name === 'vera' ? { vera: vera ?? veraSchema.parse({}) } : {};
  return name === 'adalora' ? { adalora: adalora ?? adaloraSchema.parse({}) } : own;
}

/** Takes options of other methods out of a recipe's, whose method became another. */
export function withoutOthersOptions(method: Method): void {
  const own = ownOptions(method);
  delete method.vera;
  delete method.adalora;
  Object.assign(method, own);
}

/** @throws UserError naming an option that the recipe's method does not have */
export function checkMethod(method: Method, file: string): void {
  const { name, dora, vision, reducer, rank } = method;
  for (const other of ['vera', 'adalora'] as const)
    if (method[other] && name !== other)
      throw new UserError(`${file}: method.${other} is for the method ${other}, and this one is ${name}; leave it out`);
  if (name !== 'vera' && name !== 'adalora') return;
  if (dora) throw new UserError(`${file}: method.dora is not there for the method ${name}; leave it out, or take lora`);
  if (vision && (vision.tower !== 'frozen' || vision.connector !== 'frozen'))
    throw new UserError(
      `${file}: method.vision is not there for the method ${name}, which adapts the language model alone; leave it out, or take effilora`,
    );
  if (name !== 'adalora') return;
  if (reducer.ratio > 0)
    throw new UserError(
      `${file}: method.reducer.ratio is not there for the method adalora, which leaves out rows by their own importance; leave it out`,
    );
  const target = targetOf(method);
  if (target >= rank)
    throw new UserError(
      `${file}: method.adalora.targetRank (${target}) has to be below method.rank (${rank}), from which ranks are taken; make the rank larger`,
    );
}

/** How ranks are chosen in a run of so many steps. @throws UserError where there are too few between tInit and tFinal */
export function rankOptions(method: Pick<Method, 'rank' | 'adalora'>, steps: number): RankOptions {
  const told = method.adalora ?? adaloraSchema.parse({});
  const { tInit = Math.round(0.1 * steps), tFinal = Math.round(0.3 * steps) } = told;
  if (tInit >= steps - tFinal)
    throw new UserError(
      `method.adalora leaves no step to choose ranks in: tInit ${tInit} and tFinal ${tFinal} take all ${steps} steps; make them smaller, or train longer`,
    );
  return { ...told, tInit, tFinal, steps, targetRank: targetOf(method) };
}
