import type { MethodName } from '../types.ts';

/** Rows of A where a recipe names no rank: VeRA trains one number a row and can have many (PEFT's default). */
export const DEFAULT_RANKS: Record<MethodName, number> = { lora: 8, hydralora: 8, effilora: 8, adalora: 12, vera: 256 };

/** The alpha of a recipe that names none: a scale of 2, of VeRA 1, as neither its authors nor PEFT scale it. */
export const defaultAlpha = (name: MethodName, rank: number): number => (name === 'vera' ? rank : 2 * rank);
