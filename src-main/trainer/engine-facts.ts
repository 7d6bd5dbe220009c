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
    flopsPerSecond: measured ?? guessedSpeed(),
    isMeasured: measured !== undefined,
  };
}
