import { computed, ref, watch, type Ref } from 'vue';
import { MOST_PICTURE_BYTES, MOST_PICTURES } from '../../src-preload/contract/index.ts';
import type { ChatPicture } from '../../src-preload/contract/index.ts';
import { studio } from '../connection.ts';
import { bytes } from '../format.ts';
import { useAttempt } from '../use-attempt.ts';
import { useSees } from '../use-sees.ts';

const isPicture = ({ type }: { type: string }) => type.startsWith('image/');

/** The pictures among what is dragged, dropped or pasted; while it is dragged nothing but their kind is told. */
export const holdsPictures = (data: DataTransfer | null): boolean =>
  [...(data?.items ?? [])].some((item) => item.kind === 'file' && isPicture(item));

/** A file's bytes in base64. */
function base64Of(file: File): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve((reader.result as string).replace(/^[^,]*,/, ''));
    reader.onerror = () => reject(new Error(`${file.name} can’t be read. Choose it again.`));
    reader.readAsDataURL(file);
  });
}

export type ShownPictures = ReturnType<typeof usePictures>;

/** The pictures beside a prompt that is being written, for the model that is to answer; `most` of them. */
export function usePictures(model: Ref<string>, adapter: Ref<string | null>, most = MOST_PICTURES) {
  const pictures = ref<ChatPicture[]>([]);
  const eyes = useSees(() => ({ model: model.value, adapter: adapter.value }));
  const sees = computed(() => eyes.value?.sees === true);
  const { busy, error, attempt } = useAttempt();
  const full = computed(() => pictures.value.length >= most);

  watch([model, adapter], () => (error.value = undefined));

  async function keep(file: File) {
    if (!sees.value)
      throw new Error(`${eyes.value?.name ?? 'This model'} reads text alone; choose a base model that sees pictures.`);
    if (full.value) throw new Error(`These are more than ${most} pictures. Remove one first.`);
    if (file.size > MOST_PICTURE_BYTES)
      throw new Error(
        `${file.name} is larger than the ${bytes(MOST_PICTURE_BYTES)} that can be sent. Make it smaller.`,
      );
    const name = file.name.slice(-255) || 'pasted picture';
    pictures.value = [...pictures.value, await studio.playground.addPicture({ name, data: await base64Of(file) })];
  }
  /** Adds pictures, one after the other; the first that can't be taken is named, and those behind it stay out. */
  const add = (files: Iterable<File>) =>
    attempt(async () => {
      for (const file of files) await keep(file);
    });
  const remove = (index: number) => {
    error.value = undefined;
    pictures.value = pictures.value.filter((_, at) => at !== index);
  };
  /** What was beside the prompt, which is sent with it. */
  function take(): ChatPicture[] {
    const taken = pictures.value;
    pictures.value = [];
    return taken;
  }
  /** Takes in what was dropped or pasted where it holds pictures. */
  function takeIn(event: DragEvent | ClipboardEvent) {
    const data = 'dataTransfer' in event ? event.dataTransfer : event.clipboardData;
    const files = [...(data?.files ?? [])];
    if (!files.some(isPicture)) return;
    event.preventDefault();
    void add(files);
  }
  return { pictures, eyes, sees, busy, error, full, add, remove, take, takeIn };
}
