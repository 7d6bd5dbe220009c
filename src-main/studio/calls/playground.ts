import type { Studio } from '../studio.ts';
import { onStage } from './on-stage.ts';
import { os, stream } from './os.ts';

/** Answers side by side, and the conversations that are kept. */
export function playgroundCalls(studio: Studio) {
  const { stage, chats } = studio;
  return {
    generate: os.playground.generate.handler(async ({ input, signal }) => {
      const asked = input.columns.map(({ adapter }) => adapter);
      const { on, folders } = await onStage(studio, asked, input.model);
      const columns = input.columns.map(({ messages }, index) => ({ folder: folders[index], messages }));
      const { alternatives } = input;
      const job = {
        ...on,
        columns,
        template: input.template ?? undefined,
        sampling: { ...input.sampling, alternatives },
      };
      return stream(stage.run('generate', job, signal));
    }),
    prompt: os.playground.prompt.handler(async ({ input, signal }) => {
      const { on } = await onStage(studio, [input.adapter], input.model);
      const job = { ...on, messages: input.messages, template: input.template ?? undefined };
      for await (const event of stage.run('template', job, signal)) if (event.kind === 'template') return event;
      return { source: '', prompt: '', tokens: 0 };
    }),
    chats: os.playground.chats.handler(() => chats.list()),
    chat: os.playground.chat.handler(({ input }) => chats.get(input.id)),
    keepChat: os.playground.keepChat.handler(({ input }) => chats.keep(input)),
    removeChat: os.playground.removeChat.handler(({ input }) => {
      chats.remove(input.id);
      return {};
    }),
  };
}
