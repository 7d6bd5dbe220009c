import { createRouter, createWebHashHistory } from 'vue-router';
import HomeView from './views/HomeView.vue';

export const router = createRouter({
  history: createWebHashHistory(),
  routes: [
    { path: '/', component: HomeView, meta: { title: 'Home' } },
    { path: '/new', component: () => import('./views/WizardView.vue'), meta: { title: 'New fine-tune' } },
    { path: '/runs', component: () => import('./views/RunsView.vue'), meta: { title: 'Runs' } },
    { path: '/runs/:id', component: () => import('./views/RunView.vue'), props: true, meta: { title: 'Run' } },
    { path: '/playground', component: () => import('./views/PlaygroundView.vue'), meta: { title: 'Playground' } },
    {
      path: '/evaluations',
      component: () => import('./views/EvaluationsView.vue'),
      meta: { title: 'Evaluation' },
    },
    { path: '/datasets', component: () => import('./views/DatasetsView.vue'), meta: { title: 'Datasets' } },
    {
      path: '/datasets/:id',
      component: () => import('./views/DatasetView.vue'),
      props: true,
      meta: { title: 'Dataset' },
    },
    { path: '/library', component: () => import('./views/LibraryView.vue'), meta: { title: 'Library' } },
    { path: '/library/compare', component: () => import('./views/CompareView.vue'), meta: { title: 'Compare' } },
    {
      path: '/library/:id/inspect',
      component: () => import('./views/InspectView.vue'),
      props: true,
      meta: { title: 'Inspector' },
    },
    {
      path: '/library/:id',
      component: () => import('./views/AdapterView.vue'),
      props: true,
      meta: { title: 'Adapter' },
    },
    { path: '/settings', component: () => import('./views/SettingsView.vue'), meta: { title: 'Settings' } },
    { path: '/:rest(.*)', redirect: '/' },
  ],
  scrollBehavior: () => ({ top: 0 }),
});
