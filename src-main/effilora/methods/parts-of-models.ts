/** The group of a language model's blocks. */
export const LANGUAGE = 'language';

/** Whether a target is the language model's: in other parts its name begins with the part's. */
export const isOfLanguage = (target: string): boolean => !target.includes('.');
