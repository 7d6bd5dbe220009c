import type { EngineFacts } from '../effilora/memory-plan.ts';
import { memoryFacts } from '../engine/memory-facts.ts';
import type { Products } from '../engine/products.ts';
import type { EngineStatus } from '../engine/types.ts';
import { guessedSpeed, measuredSpeed, type Unit } from './machine-speed.ts';

/** What the plan needs to know of an engine. */
export function engineFacts(
  engine: Pick<EngineStatus, 'name' | 'kind'>,
  products: Products = 'f32',
  unit: Unit = 'tokens',
): EngineFacts {
  const measured = measuredSpeed(engine, products, unit);
  return {
    name: engine.name,
    ...memoryFacts(engine),
    // What f32 reached is nearer than a guess, though products in fewer bits may well be quicker.
    flopsPerSecond: measured ?? measuredSpeed(engine, 'f32', unit) ?? guessedSpeed(),
    isMeasured: measured !== undefined,
  };
}
