import { fileURLToPath } from 'node:url';

/** Where a file of the kit lies, by its place in the repository. */
export const programAt = (place: string): string => fileURLToPath(new URL(`../../${place}`, import.meta.url));
