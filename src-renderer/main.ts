import { createPinia } from 'pinia';
import { createApp } from 'vue';
import '@fontsource-variable/instrument-sans/standard.css';
import '@fontsource/instrument-serif/latin-400.css';
import './styles/tokens.css';
import './styles/base.css';
import App from './App.vue';
import { holdsFiles } from './dropped.ts';
import { router } from './router.ts';

createApp(App).use(createPinia()).use(router).mount('#app');

// What nothing on the page takes in would replace it.
for (const kind of ['dragover', 'drop'] as const)
  addEventListener(kind, (event) => {
    if (event.defaultPrevented || !holdsFiles(event)) return;
    event.preventDefault();
    event.dataTransfer!.dropEffect = 'none';
  });
