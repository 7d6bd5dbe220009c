// Stands in for vitest in the kit's bundle: its own runner and matchers, without the rest of it, which transforms sources.
import { ChaiStyleAssertions, getState, JestAsymmetricMatchers, JestChaiExpect, JestExtend, setState, type ExpectStatic } from '@vitest/expect'; // prettier-ignore
import { restoreAllMocks, spyOn } from '@vitest/spy';
import * as chai from 'chai';

export { afterAll, afterEach, beforeAll, beforeEach, describe, it, test } from '@vitest/runner';

for (const plugin of [JestExtend, JestChaiExpect, ChaiStyleAssertions, JestAsymmetricMatchers])
  chai.use(plugin as unknown as Chai.ChaiPlugin);

export const expect = ((value: unknown, message?: string) => chai.expect(value, message)) as unknown as ExpectStatic;
Object.assign(expect, chai.expect);
setState({ ...getState(expect), assertionCalls: 0, isExpectingAssertions: false }, expect);

export const vi = { spyOn, restoreAllMocks };
