import type { AdapterOptions, MethodName } from '../types.ts';
import type { Method } from './method.ts';
import { adalora } from './adalora.ts';
import { effilora, hydralora, lora } from './mixture.ts';
import { vera } from './vera.ts';

const METHODS: Record<MethodName, Method> = { lora, hydralora, effilora, adalora, vera };

export const methodOf = ({ name }: Pick<AdapterOptions, 'name'>): Method => METHODS[name];

/** Whether a router weighs a site's heads: only close to a plain LoRA then, which the others are exactly. */
export const isRouted = (options: Pick<AdapterOptions, 'name'>): boolean => methodOf(options).isRouted;
