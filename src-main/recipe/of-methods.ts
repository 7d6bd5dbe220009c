import { z } from 'zod';
import { D_INITIAL } from '../effilora/methods/vera.ts';
import type { MethodName } from '../effilora/types.ts';
import { UserError } from '../engine/types.ts';

/** Of vera: what each number of d begins with. */
export const veraSchema = z.strictObject({ dInitial: z.number().positive().max(100).default(D_INITIAL) });

/** What of a recipe's method depends on which it is. */
interface Method {
  name: MethodName;
  dora: boolean;
  vera?: z.output<typeof veraSchema>;
  vision?: { tower: string; connector: string };
}

/** @throws UserError naming an option that the recipe's method does not have */
export function checkMethod({ name, dora, vera, vision }: Method, file: string): void {
  if (vera && name !== 'vera')
    throw new UserError(`${file}: method.vera is for the method vera, and this one is ${name}; leave it out`);
  if (name !== 'vera') return;
  if (dora) throw new UserError(`${file}: method.dora is not there for the method ${name}; leave it out, or take lora`);
  if (vision && (vision.tower !== 'frozen' || vision.connector !== 'frozen'))
    throw new UserError(
      `${file}: method.vision is not there for the method ${name}, which adapts the language model alone; leave it out, or take effilora`,
    );
}
