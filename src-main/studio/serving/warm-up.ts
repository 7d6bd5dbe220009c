import type { OnModel } from '../stage/types.ts';
import type { ModelProcess } from './answer.ts';

/** Loads model and adapter before the first request comes. @throws UserError when they don't fit */
export async function warmUp(
  stage: ModelProcess,
  on: OnModel,
  folder: string | undefined,
  onLoading: (what: string) => void = () => {},
): Promise<void> {
  const sampling = { maxTokens: 1, temperature: 0, topP: 1, topK: 0, seed: 0, alternatives: 0 };
  const messages = [{ role: 'user' as const, content: 'Hello' }];
  for await (const event of stage.run('generate', { ...on, columns: [{ folder, messages }], sampling }))
    if (event.kind === 'loading') onLoading(event.what);
}
