import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files of tests that take long, by their places under test/. */
const LONG = [
  'torture/kills',
  'torture/disks',
  'torture/power-cut',
  'e2e/pages',
  'e2e/first-launch',
  'trainer/resume',
  'cli/train',
  'engine/install',
].map((name) => `/test/${name}.test.ts`);

/** Starts with what takes long, so that no worker waits for another at the end; on a fresh clone vitest goes by the files' sizes. */
export class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification) => LONG.some((name) => moduleId.endsWith(name));
    const sorted = await super.sort(files);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}
