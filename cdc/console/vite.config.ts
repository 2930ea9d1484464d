import { defineConfig } from "vite";

// JSX is compiled as tsconfig.json says; no plug-in is needed for Preact without hot reloading.
export default defineConfig({
  build: { outDir: "dist", emptyOutDir: true, assetsInlineLimit: 0, modulePreload: { polyfill: false } },
});
