import { createPinia } from 'pinia';
import { createApp } from 'vue';
import '@fontsource-variable/instrument-sans/standard.css';
import '@fontsource/instrument-serif/latin-400.css';
import './styles/tokens.css';
import './styles/base.css';
import App from './App.vue';
import { router } from './router.ts';

createApp(App).use(createPinia()).use(router).mount('#app');
