import { z } from 'zod';
import { MOST_TAG_LETTERS, MOST_TAGS } from './choices.ts';

/** A person's own words on something that is kept. */
export const tagList = z.array(z.string().trim().min(1).max(MOST_TAG_LETTERS)).max(MOST_TAGS);
