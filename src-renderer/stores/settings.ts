import { defineStore } from 'pinia';
import { ref, watchEffect } from 'vue';
import { studio } from '../connection.ts';

export type Settings = Awaited<ReturnType<typeof studio.settings.get>>;

/** The settings and the theme on the page. */
export const useSettings = defineStore('settings', () => {
  const values = ref<Settings>();
  const systemDark = matchMedia('(prefers-color-scheme: dark)');
  const prefersDark = ref(systemDark.matches);
  const dark = ref(prefersDark.value);
  systemDark.addEventListener('change', ({ matches }) => (prefersDark.value = matches));

  watchEffect(() => {
    const theme = values.value?.theme ?? 'system';
    dark.value = theme === 'dark' || (theme === 'system' && prefersDark.value);
    document.documentElement.dataset['theme'] = dark.value ? 'dark' : 'light';
  });

  async function load() {
    values.value = await studio.settings.get();
  }
  async function change(change: Parameters<typeof studio.settings.set>[0]) {
    const changed = await studio.settings.set(change);
    if (values.value) values.value = { ...values.value, ...changed };
  }
  void load();
  return { values, dark, load, change };
});
