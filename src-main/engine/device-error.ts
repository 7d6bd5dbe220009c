import { UserError } from './types.ts';

/** The device is gone or full: nothing can be read from it any more, so the last checkpoint is what there is. */
export class DeviceError extends UserError {}

/** @param used bytes, where someone counts */
export function outOfMemory(device: string, used?: number): DeviceError {
  const inUse = used === undefined ? '' : ` with ${(used / 2 ** 30).toFixed(2)} GiB in use`;
  return new DeviceError(
    `The memory of ${device} ran out${inUse}: lower training.batch or training.sequenceLength, or give the plan a smaller memory budget; checkpoints written so far are kept, --resume goes on from the last one`,
  );
}
