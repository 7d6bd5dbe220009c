import { UserError } from '../../engine/types.ts';
import type { OnModel } from '../stage/types.ts';
import type { Studio } from '../studio.ts';
import { checkReference } from './check.ts';

/**
 * The base model that some columns share, with each one's adapter folder; `model` where none of them has an adapter.
 * @throws UserError when their adapters are for different base models, or files are gone
 */
export async function onStage(
  studio: Studio,
  adapters: (string | null)[],
  model: string,
): Promise<{ on: OnModel; folders: (string | undefined)[] }> {
  const rows = adapters.map((id) => (id === null ? undefined : studio.adapters.present(id)));
  const there = rows.filter((row) => row !== undefined);
  const references = new Map(there.map((row) => [studio.adapters.modelReference(row), row]));
  if (references.size > 1) {
    const [one, other] = [...references.values()];
    throw new UserError(
      `"${one!.name}" was made for ${one!.model} and "${other!.name}" for ${other!.model}: side by side they need one base model.`,
    );
  }
  const reference = [...references.keys()][0] ?? model;
  await checkReference(studio, reference);
  const on = { model: reference, engine: studio.settings.values().engine };
  return { on, folders: rows.map((row) => row?.folder) };
}
