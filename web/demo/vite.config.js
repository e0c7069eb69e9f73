import { defineConfig } from 'vite'

// `npm run dev -w demo` serves the page with hot reload beside a running
// `belfry demo`; its address can be set where it is not the default.
const belfry = process.env.BELFRY_URL ?? 'http://localhost:2120'

export default defineConfig({
  base: '/demo/',
  build: {
    outDir: '../dist/demo',
    emptyOutDir: true,
    // Everything the page needs comes from files of its own, so that the
    // content security policy in index.html can forbid the rest.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      '/socket.io': { target: belfry, ws: true },
      '/demo/config.json': belfry,
      '/demo/tasks': belfry,
    },
  },
})
