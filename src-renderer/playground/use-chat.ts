import type { ChatPicture } from '../../src-preload/contract/index.ts';
import { shortened } from '../../src-preload/shortened.ts';
import { computed, ref, shallowReactive, shallowRef, triggerRef } from 'vue';
import { studio } from '../connection.ts';
import { useStream } from '../use-stream.ts';
import { emptyAnswer, keptTurns, messagesFor, openedTurns, SAMPLING, takeEvent } from './conversation.ts';
import type { Answer, Column, Turn } from './conversation.ts';

/** What answers, and how. */
function useSettings() {
  const model = ref('smollm2-135m');
  const columns = ref<Column[]>([{ adapter: null, name: 'Base model' }]);
  const system = ref('');
  const template = ref<string | null>(null);
  const sampling = ref({ ...SAMPLING });
  return { model, columns, system, template, sampling };
}

/** A conversation in several columns: what was said, and what is being answered. */
export function useChat() {
  const id = ref<string>();
  const settings = useSettings();
  const { model, columns, system, template, sampling } = settings;
  const turns = shallowRef<Turn[]>([]);
  const status = ref('');
  const { busy, error, run, stop } = useStream();
  const title = computed(() => shortened(turns.value[0]?.prompt ?? '', 80) || 'New conversation');

  async function send(prompt: string, pictures: ChatPicture[] = []) {
    const before = turns.value;
    const answers = columns.value.map(() => shallowReactive(emptyAnswer()));
    turns.value = [...before, { prompt, pictures, answers }];
    status.value = 'Getting ready…';
    await stream(before, { prompt, pictures }, answers);
    for (const answer of answers) answer.state = 'done';
    status.value = '';
    const said = answers.some(({ text }) => text !== '');
    // A prompt that was refused before anything was said is taken back.
    if (error.value && !said) turns.value = before;
    triggerRef(turns);
    if (said) await keep();
  }

  async function stream(before: Turn[], turn: Pick<Turn, 'prompt' | 'pictures'>, answers: Answer[]) {
    const asked = columns.value.map(({ adapter }, column) => ({
      adapter,
      messages: messagesFor(column, before, turn, system.value),
    }));
    const request = { model: model.value, template: template.value, sampling: sampling.value, columns: asked };
    await run(
      (signal) => studio.playground.generate(request, { signal }),
      (event) => {
        if (event.kind !== 'loading') takeEvent(answers[event.column]!, event);
        status.value = event.kind === 'loading' ? `${event.what}…` : '';
      },
    );
  }

  /** The last prompt again, with the next seed. */
  async function regenerate() {
    const last = turns.value.at(-1);
    if (!last) return;
    turns.value = turns.value.slice(0, -1);
    sampling.value = { ...sampling.value, seed: sampling.value.seed + 1 };
    await send(last.prompt, last.pictures);
  }

  async function keep() {
    const how = { model: model.value, columns: columns.value, system: system.value, template: template.value };
    const conversation = { ...how, sampling: sampling.value, turns: keptTurns(turns.value) };
    try {
      id.value = (await studio.playground.keepChat({ id: id.value, title: title.value, conversation })).id;
    } catch (failure) {
      error.value = failure;
    }
  }

  async function open(chat: string) {
    stop();
    const { conversation } = await studio.playground.chat({ id: chat });
    id.value = chat;
    for (const key of ['model', 'columns', 'system', 'template', 'sampling'] as const)
      (settings[key].value as unknown) = conversation[key];
    turns.value = openedTurns(conversation.turns);
  }

  /** An empty conversation with the same columns and settings. */
  function clear() {
    stop();
    id.value = undefined;
    turns.value = [];
  }

  return { id, ...settings, turns, status, busy, error, send, stop, regenerate, open, clear };
}
