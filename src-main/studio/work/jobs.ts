import { UserError } from '../../engine/types.ts';
import type { Jobs } from './types.ts';

export const jobs: Jobs = {
  async engines() {
    return [];
  },
  async inspectModel({ reference }) {
    throw new UserError(`${reference} can't be opened yet.`);
  },
  async preview() {
    throw new UserError("Datasets can't be read yet.");
  },
  async propose() {
    throw new UserError("Plans can't be made yet.");
  },
};
