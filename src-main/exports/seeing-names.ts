import type { ModelFile } from '../models/types.ts';

/** Where transformers 5 has the language model inside a model: of one that takes pictures, beside what sees them. */
export function languageModule({ sees }: Pick<ModelFile, 'sees'>): string {
  if (!sees) return 'model';
  return sees.config.connector.kind === 'shuffle' ? 'model.text_model' : 'model.language_model';
}

/** A module or tensor of the language model alone by its name inside such a model. */
export const nameInside = (name: string, module: string): string => name.replace(/^model\./, `${module}.`);
