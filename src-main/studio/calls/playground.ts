import type { Studio } from '../studio.ts';
import { checkedData } from './check.ts';
import { onStage } from './on-stage.ts';
import { os, stream } from './os.ts';
import type { PlaygroundMessage } from '../../../src-preload/contract/index.ts';
import { makesPictures, seesAt } from '../library/models.ts';
import { nameOfModel } from '../library/model-names.ts';
import type { SeenConversation } from '../stage/types.ts';

/** Answers side by side, and the conversations that are kept. */
export function playgroundCalls(studio: Studio) {
  const { stage, chats, pictures } = studio;
  return {
    generate: os.playground.generate.handler(async ({ input, signal }) => {
      const asked = input.columns.map(({ adapter }) => adapter);
      const { on, folders } = await onStage(studio, asked, input.model);
      const columns = input.columns.map(({ messages }, index) => ({
        folder: folders[index],
        ...seenConversation(studio, messages),
      }));
      const { alternatives } = input;
      const job = {
        ...on,
        columns,
        template: input.template ?? undefined,
        sampling: { ...input.sampling, alternatives },
      };
      return stream(stage.run('generate', job, signal));
    }),
    paint: os.playground.paint.handler(async ({ input: { columns, model, only, ...asked }, signal }) => {
      const { on, folders } = await onStage(studio, columns.map(({ adapter }) => adapter), model); // prettier-ignore
      // An export is fitted on the adapter's training data: an imported one's recipe may name any path.
      const fitted = folders.filter((folder, i) => folder !== undefined && columns[i]!.form) as string[];
      await checkedData(studio, { examples: 1 }, fitted);
      const all = columns.map(({ leaveOut, renormalize, form, strength }, i) => ({ folder: folders[i], leaveOut, renormalize, form, strength })); // prettier-ignore
      const painted = only === undefined ? all : all.slice(only, only + 1);
      return stream(stage.run('paint', { ...asked, ...on, columns: painted }, signal));
    }),
    prompt: os.playground.prompt.handler(async ({ input, signal }) => {
      const { on } = await onStage(studio, [input.adapter], input.model);
      const job = { ...on, ...seenConversation(studio, input.messages), template: input.template ?? undefined };
      for await (const event of stage.run('template', job, signal)) if (event.kind === 'template') return event;
      return { source: '', prompt: '', tokens: 0 };
    }),
    sees: os.playground.sees.handler(async ({ input }) => {
      const { on } = await onStage(studio, [input.adapter], input.model);
      return { sees: await seesAt(on.model), makesPictures: makesPictures(on.model), name: nameOfModel(on.model) };
    }),
    addPicture: os.playground.addPicture.handler(({ input }) => pictures.add(input.name, input.data)),
    chats: os.playground.chats.handler(() => chats.list()),
    chat: os.playground.chat.handler(({ input }) => chats.get(input.id)),
    keepChat: os.playground.keepChat.handler(({ input }) => chats.keep(input)),
    removeChat: os.playground.removeChat.handler(async ({ input }) => {
      chats.remove(input.id);
      await pictures.sweep();
      return {};
    }),
  };
}

/** Messages in parts where they have pictures, as the stage takes them. */
function seenConversation({ pictures: kept }: Studio, messages: PlaygroundMessage[]): SeenConversation {
  const shown = messages.flatMap(({ pictures = [] }) => pictures);
  return {
    messages: messages.map(({ role, content, pictures = [] }) => ({
      role,
      content: pictures.length > 0 ? [...pictures.map(() => ({ type: 'image' })), { type: 'text', text: content }] : content, // prettier-ignore
    })),
    pictures: shown.map(({ id, name }) => ({ name, path: kept.pathOf(id) })),
  };
}
