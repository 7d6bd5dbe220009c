/** The pages that can be gone to from anywhere, as the navigation shows them. */
export const PAGES: { to: string; label: string; short?: string; icon: string }[] = [
  { to: '/', label: 'Home', icon: 'M4 11 12 4l8 7v9h-5v-6H9v6H4z' },
  { to: '/new', label: 'New fine-tune', short: 'New', icon: 'M12 5v14M5 12h14' },
  { to: '/datasets', label: 'Datasets', short: 'Data', icon: 'M4 5h16v14H4zM4 10h16M4 14.5h16M10 10v9' },
  { to: '/runs', label: 'Runs', icon: 'M4 19V9m5.3 10V5m5.4 14v-7M20 19V8' },
  { to: '/library', label: 'Library', icon: 'M5 4v16M10 4v16M15 4l4 16M4 20h7M4 4h7' },
  { to: '/playground', label: 'Playground', short: 'Chat', icon: 'M4 5h16v11H9l-5 4z' },
  { to: '/evaluations', label: 'Evaluation', short: 'Evaluate', icon: 'M4 12l5 5L20 6M4 20h16' },
  { to: '/settings', label: 'Settings', icon: 'M4 8h9m5 0h2M4 16h2m5 0h9M13 5v6M11 13v6' },
];
